"""Every seed that ever failed, with what it found; they are run for ever."""

from typing import Final

REGRESSIONS: Final = {
    19: "a voter was added between a reign's first commit and its first apply: the "
    "next client's statement ran on a database that lacked that entry",
    2683: "the same, in a cluster's very first reign",
    2773: "a replica whose rewind had failed was sent a snapshot older than its own "
    "log, and took back an entry that had been counted in a quorum",
}
