"""Settings of a journal as they are by default."""

from bridge.config.sections import Keep
from bridge.journals import retention_of

USUAL_RETENTION = retention_of(Keep())
