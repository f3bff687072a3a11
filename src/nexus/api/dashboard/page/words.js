/** What the page says: of events, and of what a button will do. Pure. */

/** @type {Record<string, string>} */
const KINDS = {
  apply_conflict: "Apply conflict",
  apply_failed: "Apply failed",
  archive_begins: "Archive begins",
  archive_failed: "Archive failed",
  archive_given_up: "Archive given up",
  archive_is_back: "Archive is back",
  disk_full: "Disk full",
  disk_has_space: "Disk has space",
  election_began: "Election",
  follows: "Follows a master",
  full_sync_began: "Full sync began",
  full_sync_done: "Full sync done",
  hands_over: "Switchover began",
  install_failed: "Full sync failed",
  install_waits: "Full sync waits",
  link_ended: "Link to master ended",
  master_not_accepted: "Master not accepted",
  paused: "Paused",
  pin_dropped: "Log kept no longer",
  quorum_is_back: "Quorum regained",
  quorum_lost: "Quorum lost",
  reign_began: "New master",
  replica_gone: "Replica left",
  replica_joined: "Replica joined",
  resumed: "Resumed",
  rewind_failed: "Rewind failed",
  rewound: "Rewound",
  snapshot_answered: "Snapshot received",
  snapshot_failed: "Snapshot failed",
  snapshot_made: "Snapshot made",
  snapshot_started: "Snapshot sent",
  stepping_down: "Master deposed",
  switchover_failed: "Switchover failed",
  synced_nodes: "Synced nodes",
  takes_writes: "Takes writes",
  voted: "Voted",
};

/** @param {string} kind */
export const titleOf = (kind) => KINDS[kind] ?? kind.replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());

/** Events that are worth an interruption of who listens to the page. */
export const ANNOUNCED = new Set(["reign_began", "quorum_lost", "quorum_is_back", "stepping_down", "switchover_failed"]);

/** @typedef {"switchover" | "promote" | "pause" | "resume" | "snapshot"} Action */

/** @typedef {{title: string, confirm: string, danger: boolean, consequences: string[], done: (answer: any) => string}} Plan */

/**
 * What an action will do, and what was done, in sentences.
 *
 * @param {Action} action
 * @param {{name: string, isMaster: boolean, hasMaster: boolean, votes: boolean}} about the node that is told
 * @returns {Plan}
 */
export function planOf(action, { name, isMaster, hasMaster, votes }) {
  switch (action) {
    case "switchover":
      return {
        title: "Switch over to another master",
        confirm: "Switch over",
        danger: false,
        consequences: [
          `${name} takes no new writes until the heir reigns: clients wait for a moment, and nothing is lost.`,
          "The heir begins a new epoch; the old master and all replicas follow it.",
          "If the heir does not take over in time, the old master goes on.",
        ],
        done: (answer) => `${answer.master_id} reigns after ${Number(answer.seconds).toFixed(2)} s. ${name} follows it.`,
      };
    case "promote":
      return {
        title: `Promote ${name}`,
        confirm: "Promote",
        danger: !votes,
        consequences: votes
          ? [
              `${name} asks the voters for a new epoch. With a majority of them it becomes the master.`,
              hasMaster ? "The present master is alive: the voters will refuse. Use switchover instead." : "What a majority of the voters holds is kept.",
            ]
          : [
              ...(hasMaster ? ["The present master is alive: this is refused while the node hears from it. Stop that one first."] : []),
              `${name} becomes the master of a higher epoch, with what it has received.`,
              "Writes that the old master has acknowledged by itself and not yet streamed are not in it; they are kept under diverged/ when that node returns.",
            ],
        done: (answer) => `${name} reigns in epoch ${answer.epoch}.`,
      };
    case "pause":
      return isMaster
        ? {
            title: "Pause all streams",
            confirm: "Pause the streams",
            danger: true,
            consequences: [
              `${name} sends no entries to any replica until it is resumed. Their lag grows.`,
              "In sync mode no write is acknowledged meanwhile.",
            ],
            done: () => `${name} streams to nobody until it is resumed.`,
          }
        : {
            title: `Pause ${name}`,
            confirm: "Pause",
            danger: false,
            consequences: [
              `${name} goes on receiving and acknowledging entries, and applies none: its rows stand still.`,
              "Its lag grows until it is resumed. No data are at risk.",
            ],
            done: () => `${name} applies nothing until it is resumed.`,
          };
    case "resume":
      return {
        title: isMaster ? "Resume all streams" : `Resume ${name}`,
        confirm: "Resume",
        danger: false,
        consequences: [isMaster ? "Every replica is sent what it lacks." : `${name} applies what it has received meanwhile.`],
        done: () => (isMaster ? `${name} streams again.` : `${name} applies entries again.`),
      };
    case "snapshot":
      return {
        title: `Make a snapshot on ${name}`,
        confirm: "Make the snapshot",
        danger: false,
        consequences: [
          "The whole database is copied and compressed under snapshots/ on that node's disk. Writes and reads go on.",
          "It takes a while for a large database, and some CPU.",
        ],
        done: (answer) =>
          `Snapshot ${answer.id} holds everything up to entry ${Number(answer.wal_offset).toLocaleString("en")}: ${Number(answer.compressed_size).toLocaleString("en")} bytes.`,
      };
  }
}

/** Why it was not done, as RFC 9457 has it. @param {any} problem @param {number} status */
export function problemOf(problem, status) {
  return {
    title: problem?.title ?? `The node answered ${status}`,
    detail: [problem?.detail, problem?.what_to_do].filter(Boolean).join(" — "),
  };
}
