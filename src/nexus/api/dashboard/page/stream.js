/** Server-sent events over fetch, which can send headers where an EventSource cannot. */

/** @typedef {{event: string, data: string, id: string | null}} Message */

/** Splits text into messages, however it arrives in pieces. */
export class Parser {
  constructor() {
    this.rest = "";
  }

  /** @param {string} text @returns {Message[]} */
  push(text) {
    const blocks = (this.rest + text).replaceAll("\r\n", "\n").split("\n\n");
    this.rest = blocks.pop() ?? "";
    return blocks.map(messageOf).filter((message) => message !== null);
  }
}

/** @param {string} block @returns {Message | null} */
function messageOf(block) {
  /** @type {Message} */
  const message = { event: "message", data: "", id: null };
  const data = [];
  for (const line of block.split("\n")) {
    const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (name === "event") message.event = value;
    else if (name === "data") data.push(value);
    else if (name === "id") message.id = value;
  }
  message.data = data.join("\n");
  return data.length ? message : null;
}

/** The node wants another token. */
export class RefusedError extends Error {
  /** @param {number} status @param {any} problem */
  constructor(status, problem) {
    super(problem?.detail ?? `the node answered ${status}`);
    this.status = status;
  }
}

/** After so long without a byte the connection is taken for dead: each look sends some. */
const SILENCE_MS = 5000;

/**
 * Read one answer to its end, which is an error or a return.
 *
 * @param {string} path @param {Record<string, string>} headers
 * @param {(message: Message) => void} onMessage
 */
export async function readStream(path, headers, onMessage) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(), SILENCE_MS);
  try {
    const response = await fetch(path, { headers, signal: abort.signal, cache: "no-store" });
    if (!response.ok || !response.body) {
      throw new RefusedError(response.status, await response.json().catch(() => null));
    }
    const parser = new Parser();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => abort.abort(), SILENCE_MS);
      for (const message of parser.push(value)) onMessage(message);
    }
  } finally {
    clearTimeout(timer);
  }
}
