"""Any message that a correct peer may send, for hypothesis."""

from hypothesis import strategies as st

from nexus.model.cluster import NodeId, Outcome
from nexus.model.position import (
    Epoch,
    EpochHistory,
    HistoryId,
    Offset,
    Position,
    Reign,
)
from nexus.protocol.calls import (
    Attach,
    Attached,
    Begin,
    Cancel,
    Commit,
    Done,
    Execute,
    Failed,
    Fetch,
    Query,
    Recall,
    Rollback,
    Rows,
)
from nexus.protocol.messages import (
    Challenge,
    Error,
    Hello,
    Message,
    Ping,
    Plan,
    Pong,
    RequestSnapshot,
    SnapshotChunk,
    SnapshotComplete,
    SnapshotMeta,
    TakeOver,
    VoteReply,
    VoteRequest,
    WalAck,
    WalEntry,
    Welcome,
)

naturals = st.integers(min_value=0, max_value=(1 << 63) - 1)
checksums = st.integers(min_value=0, max_value=(1 << 32) - 1)
texts = st.text(max_size=40)
blobs = st.binary(max_size=200)
flags = st.booleans()
offsets = naturals.map(Offset)
epochs = naturals.map(Epoch)
history_ids = texts.map(HistoryId)
node_ids = texts.map(NodeId)
features = st.lists(texts, max_size=3).map(tuple)
snapshot_ids = st.from_regex(r"[0-9a-z:-]{0,40}", fullmatch=True)
positions = st.builds(Position, epochs, offsets, history_ids)
reigns = st.builds(Reign, epochs, history_ids, texts, offsets, naturals, texts)
histories = st.lists(reigns, max_size=3).map(lambda found: EpochHistory(tuple(found)))

hellos = st.builds(
    Hello,
    protocol_least=naturals,
    protocol_most=naturals,
    cluster_id=texts,
    history=histories,
    node_id=node_ids,
    address=texts,
    http_url=texts,
    epoch=epochs,
    position=positions,
    voter=flags,
    features=features,
    nonce=blobs,
    auth=blobs,
    master_addr=texts,
)
welcomes = st.builds(
    Welcome,
    master_id=node_ids,
    cluster_id=texts,
    epoch=epochs,
    current_offset=offsets,
    commit_offset=offsets,
    page_size=naturals,
    encoding=texts,
    plan=st.sampled_from(Plan),
    from_offset=offsets,
    history=histories,
    features=features,
    auth=blobs,
    http_url=texts,
    heartbeat_ms=naturals,
)
wal_entries = st.builds(
    WalEntry, offsets, epochs, history_ids, offsets, blobs, naturals, naturals, flags
)
integers = st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1)
values = st.one_of(st.none(), integers, st.floats(allow_nan=False), texts, blobs)
rows = st.lists(values, max_size=3)
queries = st.builds(
    Query,
    texts,
    st.one_of(rows, st.dictionaries(texts, values, max_size=3)),
    st.none() | st.lists(rows, max_size=2),
)
attaches = st.builds(Attach, naturals, naturals, texts, texts, features, blobs, blobs)
calls: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        Attached,
        naturals,
        node_ids,
        texts,
        texts,
        epochs,
        texts,
        texts,
        offsets,
        naturals,
        features,
        blobs,
    ),
    st.builds(
        Execute,
        naturals,
        st.lists(queries, max_size=2).map(tuple),
        naturals,
        texts,
        offsets,
        naturals,
        flags,
        flags,
    ),
    st.builds(Begin, naturals, texts, flags),
    st.builds(Commit, naturals, naturals),
    st.builds(Rollback, naturals, naturals),
    st.builds(Recall, naturals, texts),
    st.builds(Fetch, naturals, naturals),
    st.builds(Cancel, naturals),
    st.builds(
        Rows,
        naturals,
        naturals,
        features,
        st.lists(rows.map(tuple), max_size=3),
        flags,
        st.lists(st.none() | texts, max_size=2).map(tuple),
    ),
    st.builds(
        Done,
        naturals,
        st.lists(st.tuples(integers, integers), max_size=2).map(tuple),
        offsets,
        epochs,
        history_ids,
        st.sampled_from(Outcome),
        naturals,
    ),
    st.builds(
        Failed,
        naturals,
        texts,
        texts,
        st.dictionaries(texts, integers | texts, max_size=2),
        flags,
    ),
)
messages_after_handshake: st.SearchStrategy[Message] = st.one_of(
    st.builds(Ping, naturals, offsets, offsets, epochs, texts, history_ids),
    st.builds(Pong, naturals, offsets, offsets),
    wal_entries,
    st.builds(WalAck, offsets, offsets, flags),
    st.builds(RequestSnapshot, node_ids, snapshot_ids, naturals, st.booleans()),
    st.builds(SnapshotMeta, snapshot_ids, naturals, naturals, checksums, positions),
    st.builds(SnapshotChunk, snapshot_ids, naturals, blobs, checksums),
    st.builds(SnapshotComplete, snapshot_ids, flags),
    st.builds(
        VoteRequest, texts, epochs, node_ids, positions, history_ids, flags, flags
    ),
    st.builds(VoteReply, epochs, flags, texts, flags, flags),
    st.builds(TakeOver, epochs),
    st.builds(Error, texts, texts, epochs, texts),
    calls,
)
messages: st.SearchStrategy[Message] = st.one_of(
    hellos, welcomes, attaches, st.builds(Challenge, blobs), messages_after_handshake
)
