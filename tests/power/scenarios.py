"""What happens on the machine before its power is cut: each scenario is a short life of a bridge, drawn by chance."""

import asyncio
import itertools
import random
import signal
import socket
from contextlib import suppress

from bridge.config import read
from tests.power.traced import Sender, TracedShop
from tests.walks.processes import an_order

SHOP = "example.myshopify.com"
ENVIRON = {"SHOPIFY_SECRET": "shhh", "HELLOTEXT_TOKEN": "token-of-the-tests"}
_FIRST_VERSION = (
    "BEGIN; ALTER TABLE fact DROP COLUMN amount; DROP TABLE memory; DROP TABLE blocked; DROP TABLE former; "
    "DROP TABLE position; ALTER TABLE envelope DROP COLUMN came; PRAGMA user_version = 1; COMMIT;"
)
"""Makes a journal of the first version of one of this version."""

_OTHERS = (
    "c.execute('SELECT count(*) FROM envelope').fetchone()",
    "c.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()",
    "c.execute('PRAGMA wal_checkpoint(FULL)').fetchone()",
)
_KEEP = ", keep: {bodies: 1s, history: 1s, keys: 800d}"


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Machine:
    """The machine with its commands, and all that was posted.

    orders  to each order its body
    senders all that have posted
    erased  orders that a command was about, by its name
    places  the journal of each run
    """

    def __init__(self, folder, traced, url, chance):
        self.folder = folder
        self.disk = folder / "disk"
        self.journal = self.disk / "var" / "journal.db"
        self.restored = self.disk / "var" / "restored.db"
        self.moved = self.disk / "var" / "moved.db"
        self.backup = self.disk / "a.backup"
        self.export = self.disk / "an.export"
        self._used = self.journal
        self.traced = traced
        self.chance = chance
        self.orders = {}
        self.places = []
        self.senders = []
        self.erased = {}
        self.shop = TracedShop(traced, folder, url, ENVIRON, (_free_port(), _free_port()), self._kept(self.journal))
        self._signer = read(self.shop.config.read_text(), environ=ENVIRON).sources["shop"]
        self._numbers = itertools.count(1)

    async def start(self):
        self.places.append(self._used)
        await self.shop.start()

    def _kept(self, path, more=""):
        return f'{{path: "{path}", min_free: 0, ballast: {self.chance.choice((0, 65_536))}{more}}}'

    def use(self, path, more=""):
        """Let the configuration name another journal."""
        self._used = path
        text = self.shop.config.read_text()
        lines = [f"journal: {self._kept(path, more)}" if "journal: {" in line else line for line in text.splitlines()]
        self.shop.config.write_text("\n".join(lines) + "\n")

    async def orders_come(self, count, *, senders=4, meanwhile=None):
        """So many orders, posted beside each other; what happens meanwhile begins when a part of them is posted."""
        left = iter(range(count))
        chances = [random.Random(self.chance.getrandbits(64)) for _ in range(senders)]
        begun = asyncio.Event()
        posting = [asyncio.create_task(self._posting(left, count // 5, begun, chance)) for chance in chances]
        if meanwhile is not None:
            await begun.wait()
            await meanwhile()
        await asyncio.gather(*posting)

    async def _posting(self, left, early, begun, chance):
        sender = Sender(self.shop.port, self._signer)
        self.senders.append(sender)
        with suppress(OSError, EOFError):
            for number in left:
                if number >= early:
                    begun.set()
                order, body = an_order(with_buyer=bool(chance.getrandbits(1)))
                self.orders[order] = body
                await sender.post(order, body)
        begun.set()
        sender.close()

    async def command(self, name, *words):
        await self.traced.run(name, *words, environ=ENVIRON)

    async def other(self, action):
        """Another program at the journal's file."""
        script = f"import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=30); {action}; c.close()"
        name = f"other {next(self._numbers)}"
        child = await self.traced.start(name, "-c", script, self.journal)
        assert await child.wait() == 0, self.traced.log.read_text()[-2000:]

    async def erase(self):
        """Erase some of the buyers that were answered."""
        known = [order for order, body in self.orders.items() if b"buyer-" in body]
        chosen = self.chance.sample(known, min(len(known), 3))
        name = f"erase {next(self._numbers)}"
        self.erased[name] = chosen
        mails = [word for order in chosen for word in ("--email", f"buyer-{order}@example.com")]
        if mails:
            await self.command(name, "erase", *mails, "--shop", SHOP, "--yes", "--config", self.shop.config)

    async def end(self, *, gently=None):
        is_gentle = self.chance.getrandbits(1) if gently is None else gently
        await self.shop.end(signal.SIGTERM if is_gentle else signal.SIGKILL)


async def first_start(machine):
    """A folder that is not there yet, a new journal, the first orders."""
    await machine.start()
    await machine.orders_come(machine.chance.randint(2, 20))
    await machine.end()


async def load(machine):
    """Enough orders for SQLite's own checkpoints; then the end, and the next start with its checkpoint."""
    await machine.start()
    await machine.orders_come(machine.chance.randint(200, 300), senders=8)
    await machine.end()
    await machine.start()
    await machine.orders_come(20)
    await machine.end()


async def killed(machine):
    """The process is killed among orders, again and again; then the power is cut."""

    async def kill():
        await asyncio.sleep(machine.chance.uniform(0.0, 0.3))
        await machine.end(gently=False)

    for _ in range(2):
        await machine.start()
        await machine.orders_come(100, senders=8, meanwhile=kill)


async def looked_into(machine):
    """Other programs read and checkpoint, and people are erased, while orders come."""

    async def others():
        for _ in range(3):
            await machine.other(machine.chance.choice(_OTHERS))
            await machine.erase()

    await machine.start()
    await machine.orders_come(machine.chance.randint(60, 120), meanwhile=others)
    await machine.end()


async def pruned(machine):
    """What is old is forgotten: bodies and history, but no key."""
    await machine.start()
    await machine.orders_come(machine.chance.randint(40, 120))
    await machine.shop.settled()
    await machine.end()
    await asyncio.sleep(1)
    machine.use(machine.journal, _KEEP)
    await machine.command("prune 1", "journal", "prune", "--config", machine.shop.config)
    await machine.start()
    await machine.orders_come(10)
    await machine.end()


async def upgraded(machine):
    """A journal of the first version, and a bridge of this one."""
    await machine.start()
    await machine.orders_come(machine.chance.randint(20, 60))
    await machine.end()
    await machine.other(f"c.executescript('{_FIRST_VERSION}')")
    await machine.start()
    await machine.orders_come(20)
    await machine.end()


async def backed_up(machine):
    """Backups beside a running bridge, one over the other; then one is put back, and the bridge goes on with it."""
    words = ("journal", "backup", machine.backup, "--config", machine.shop.config)

    async def twice():
        await machine.command("backup 1", *words)
        await machine.command("backup 2", *words)

    await machine.start()
    await machine.orders_come(machine.chance.randint(40, 100), meanwhile=twice)
    await machine.end()
    await machine.command("restore 1", "journal", "restore", machine.backup, "--journal", machine.restored)
    machine.use(machine.restored)
    await machine.start()
    await machine.orders_come(10)
    await machine.end()


async def moved(machine):
    """A journal is exported, and imported elsewhere."""
    await machine.start()
    await machine.orders_come(machine.chance.randint(20, 60))
    await machine.end()
    await machine.command("export 1", "journal", "export", machine.export, "--config", machine.shop.config)
    await machine.command("import 1", "journal", "import", machine.export, "--journal", machine.moved)
    machine.use(machine.moved)
    await machine.start()
    await machine.orders_come(10)
    await machine.end()


SCENARIOS = (first_start, load, killed, looked_into, pruned, upgraded, backed_up, moved)
