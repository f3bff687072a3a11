/** Views of nodes as a node tells them, for tests. */

/** @param {string} id @param {string} role @param {Record<string, any>} [changes] of the status */
export function view(id, role, changes = {}) {
  const status = {
    role,
    mode: "async",
    epoch: 2,
    wal_offset: 10,
    lag: 0,
    lag_seconds: 0,
    master_id: "",
    state: "streaming",
    paused: false,
    running: true,
    has_database: true,
    last_error: "",
    ...changes,
  };
  const stats = role === "master" ? { current_offset: 10, entries_replicated: 0, bytes_sent: 0 } : null;
  return { node_id: id, url: `http://${id}:1`, addr: "", error: "", figures: { at_us: 1_000_000, status, master_stats: stats, replicas: [], members: null } };
}

/** @param {string} id @param {Record<string, any>} [changes] */
export const replica = (id, changes = {}) => ({ id, addr: "", http_url: "", voter: false, lag: 0, lag_seconds: 0, state: "streaming", healthy: true, ...changes });

/** @param {string[]} ids */
export const voters = (...ids) => ({ members: ids.map((id) => ({ id, addr: "", voter: true, connected: true })) });
