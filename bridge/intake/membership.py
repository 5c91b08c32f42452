"""Static membership (`instance`): the name belongs to the member that took it last. A member that lost it does not take
it back.

aiokafka knows nothing of this. A member that the group has forgotten joins anew under the same `instance`, and so
throws out the member that has taken it. That member does the same, and both read everything. Here a member joins under
its old number. The group then says whether it was only away for too long, or another member has its name.
"""

from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import UnknownMemberIdError
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest

_FENCED: Final = 82
"""FENCED_INSTANCE_ID, which the client has no name for."""
_DASH_AND_UUID: Final = 37
"""What the group adds to the instance where it numbers a static member."""


class Membership:
    """The group membership of one client that has started and has not joined yet."""

    def __init__(self, client: AIOKafkaConsumer, group: str, instance: str | None) -> None:
        self._coordinator = client._coordinator  # noqa: SLF001 - there is no public way
        self._group = group
        self.instance = instance
        self._is_away = False
        self.is_fenced = False
        """Whether another member has the instance: then this one reads nothing any more."""
        if instance is not None:
            self._forget, self._coordinator.reset_generation = self._coordinator.reset_generation, self._reset
            self._send, self._coordinator._send_req = self._coordinator._send_req, self._sent  # noqa: SLF001

    async def _sent(self, request: Any) -> Any:  # noqa: ANN401 - aiokafka's own
        answer = await self._send(request)
        if isinstance(request, JoinGroupRequest):
            self._is_away = answer.error_code == UnknownMemberIdError.errno
            self.is_fenced = self.is_fenced or answer.error_code == _FENCED
        return answer

    def _reset(self) -> None:
        """Keep the member's number when the group does not know the member, or not like this. The next join asks with
        it who has the instance. If that join says that nobody has it, the number is given up."""
        if self._is_away:
            self._is_away = False
            self._forget()
        else:
            self._coordinator.generation = OffsetCommitRequest.DEFAULT_GENERATION_ID
            self._coordinator.request_rejoin()

    async def holder(self) -> str | None:
        """The host of the member that has the instance and is not this one; None: nobody has it."""
        await self._coordinator.ensure_coordinator_known()
        answer = await self._send(DescribeGroupsRequest([self._group]))
        (found,) = answer.groups
        for number, _, host, *_ in found[5]:
            if number[:-_DASH_AND_UUID] == self.instance and number != self._coordinator.member_id:
                return str(host).strip("/")
        return None
