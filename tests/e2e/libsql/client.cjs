// One scenario with the official client against a node; prints what came of it as JSON.
"use strict";

const { createClient } = require("@libsql/client");
const hrana = require("@libsql/hrana-client");

const [url, scenario, ...rest] = process.argv.slice(2);

// After these a client may send a write again.
const NOT_DONE = ["NO_MASTER", "QUORUM_LOST", "READ_ONLY_REPLICA", "UNREACHABLE"];

const plain = (_, value) => {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString("hex");
  return value;
};

async function failure(promise) {
  try {
    await promise;
    return null;
  } catch (error) {
    return error.code ?? error.name;
  }
}

const scenarios = {
  async values(client) {
    await client.execute("create table v(a, b, c, d, e, f)");
    const args = [null, 2n ** 63n - 1n, -0.5, "zażółć 🐘", new Uint8Array([0, 255]), true];
    const inserted = await client.execute({ sql: "insert into v values (?,?,?,?,?,?)", args });
    const found = await client.execute("select *, typeof(f) as kind from v");
    const named = await client.execute({ sql: "select :a, @b", args: { a: 1, b: "x" } });
    return {
      inserted: [inserted.rowsAffected, inserted.lastInsertRowid],
      columns: found.columns,
      row: Array.from(found.rows[0]),
      named: Array.from(named.rows[0]),
    };
  },

  async batches(client) {
    await client.batch(
      ["create table b(x integer primary key)", ["insert into b values (?)", [1]]],
      "write",
    );
    const failed = await failure(
      client.batch(["insert into b values (2)", "insert into b values (1)"]),
    );
    const read = await client.batch(["select count(*) as n from b", "select 7"], "read");
    const refused = await failure(client.batch(["insert into b values (9)"], "read"));
    await client.migrate([
      "create table child(x references b)",
      "insert into child values (99)",
    ]);
    await client.executeMultiple("insert into b values (3); insert into b values (4);");
    const after = await client.execute("select count(*) as n from b");
    return { failed, refused, read: read.map((each) => each.rows[0][0]), after: after.rows[0].n };
  },

  async transactions(client) {
    await client.execute("create table i(x integer primary key)");
    const kept = await client.transaction("write");
    await kept.execute("insert into i values (1)");
    const within = (await kept.execute("select count(*) as n from i")).rows[0].n;
    const outside = (await client.execute("select count(*) as n from i")).rows[0].n;
    const duplicate = await failure(kept.execute("insert into i values (1)"));
    await kept.batch(["insert into i values (2)", "insert into i values (3)"]);
    await kept.commit();

    const dropped = await client.transaction("deferred");
    await dropped.execute("insert into i values (4)");
    await dropped.executeMultiple("insert into i values (5); insert into i values (6)");
    await dropped.rollback();

    const reading = await client.transaction("read");
    await reading.execute("select 1");
    const refused = await failure(reading.execute("insert into i values (7)"));
    reading.close();

    const left = await client.transaction("write");
    await left.execute("insert into i values (8)");
    left.close();
    const rows = await client.execute("select x from i order by x");
    return { within, outside, duplicate, refused, rows: rows.rows.map((row) => row.x) };
  },

  async errors(client) {
    await client.execute("create table e(x integer primary key)");
    return {
      syntax: await failure(client.execute("selec 1")),
      constraint: await failure(client.execute("insert into e values (1), (1)")),
      several: await failure(client.execute("select 1; select 2")),
      none: await failure(client.execute("")),
      missing: await failure(client.execute({ sql: "select ?, ?", args: [1] })),
      unknown: await failure(client.execute({ sql: "select :a", args: { b: 1 } })),
      refused: await failure(client.execute("attach 'other.db' as other")),
      large: await failure(
        client.execute(
          "with recursive n(i) as (select 1 union all select i + 1 from n) " +
            "select i, zeroblob(1000000) from n",
        ),
      ),
    };
  },

  async streams() {
    const client = hrana.openHttp(url);
    const stream = client.openStream();
    await stream.run("create table s(a INTEGER PRIMARY KEY, b TEXT)");
    const described = await stream.describe("insert into s values (?, :b) returning a, b as z");
    const stored = stream.storeSql("select count(*) from s");
    const batch = stream.batch(false);
    const first = batch.step();
    const ran = first.run("insert into s values (1, 'x')");
    const skipped = batch.step().condition(hrana.BatchCond.error(first)).run("delete from s");
    await batch.execute();
    const result = {
      described,
      ran: (await ran).affectedRowCount,
      skipped: (await skipped) === undefined,
      count: (await stream.queryValue(stored)).value,
      text: (await stream.queryRow(["select b from s where a = ?", [1]])).row.b,
    };
    stored.close();
    stream.closeGracefully();
    return result;
  },

  // A transaction that nobody ends: this process does not live on.
  async vanish(client) {
    const transaction = await client.transaction("write");
    await transaction.execute("insert into gone values (1)");
    console.log("null");
    process.exit(0);
  },

  // One number after another until standard input ends; what became of each.
  async loop(client) {
    const told = [];
    let over = false;
    process.stdin.on("end", () => (over = true)).resume();
    for (let number = Number(rest[0]); !over; number += 2) {
      for (let done = false; !done; ) {
        try {
          await client.execute({ sql: "insert into t(number) values (?)", args: [number] });
          told.push([number, "OK"]);
          done = true;
        } catch (error) {
          const refused = error.cause?.code === "ECONNREFUSED";
          const code = error.code ?? (refused ? "UNREACHABLE" : "DISCONNECTED");
          told.push([number, code]);
          done = over || !NOT_DONE.includes(code);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    }
    return told;
  },
};

const client = createClient({ url, intMode: scenario === "values" ? "bigint" : "number" });
scenarios[scenario](client)
  .then((result) => console.log(JSON.stringify(result, plain)))
  .finally(() => client.close());
