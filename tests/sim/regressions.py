"""Every seed that ever failed, with what it found; they are run for ever.

`EARLY` are those of `early_plan_of`, before there were the later kinds of trouble,
`LATER` those of `later_plan_of`, `HOMECOMINGS` those of `plan_of_homecoming`.
"""

from typing import Final

PAUSES: Final = {
    234: "an operator chose the entry to apply up to, a rewind took it back, and "
    "another one that had got its offset was applied",
    487: "the same, with an entry that a restarted master had logged",
    116963044: "no matter of pauses: a voter that was started anew after its full "
    "sync, before it had caught up, asked for another one, which the master could not "
    "give before that voter had acknowledged an entry",
}
"""Of `plan_of`, since operators pause replicas in it."""

CHAINS: Final = {
    760171518: "no fault of the machines: a learner that lied was made a voter, and "
    "what it had lied counted",
}
"""Of `chain_of`."""

HOMECOMINGS: Final = {
    221: "home was not well, and the stand-in was lost just then: the answer counted "
    "as none, and the replica went home too soon",
    435: "a replica that had come home was driven off by its upstream's own return, "
    "for its second try went to its stand-in; each time it stayed away twice as long",
}

EARLY: Final = {
    19: "a voter was added between a reign's first commit and its first apply: the "
    "next client's statement ran on a database that lacked that entry",
    2683: "the same, in a cluster's very first reign",
    2773: "a replica whose rewind had failed was sent a snapshot older than its own "
    "log, and took back an entry that had been counted in a quorum",
}

LATER: Final = {
    14: "a voter was removed although the configured quorum asked for as many as there "
    "were: nothing was ever committed again",
    128: "a voter that its own log did not name yet refused its vote to the only "
    "candidates that did: no majority was left when the old voter's disk was gone",
    201: "the same, with a new voter that had almost all",
    3106: "power failed after a full sync had written its intent: the database stood "
    "further back than before, which was taken for the snapshot, and the log was cut",
    48014: "a voter whose rewind had failed did not stand, and the master that wanted "
    "it had lost its disk: nobody could reign until that voter was restarted",
    2813737: "no fault of the machines: what a voter had held before its disk was lost "
    "was counted as never held when a witness dropped it",
}
