/**
 * The laws of PROXY headers, and of a handshake behind one.
 */
import { describe, it } from "@effect/vitest"
import * as Handshake from "../../src/Handshake.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Proxy from "../../src/protocols/Proxy.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Law from "../support/laws.ts"
import { headers } from "./proxy/headers.ts"

/** Of the rest something is ignored, or may be written in several ways. */
const hasOneSpelling = (header: Proxy.Header): boolean => {
  if (header._tag !== "Proxied" || Proxy.find(header, "Ssl") !== undefined) return false
  const { source, version } = header
  return source._tag === "InetAddressV4" || source._tag === "InetAddressV6" && version === 2
}

describe("the headers", () => {
  Laws.codec(Proxy.codec({ maxLength: 600 }), headers, {
    it,
    name: "PROXY headers",
    runs: 40,
    canonical: hasOneSpelling,
    maxLength: 600,
    ofLength: (length): Proxy.Header => ({
      _tag: "Unknown",
      version: 2,
      tlvs: [{ _tag: "Noop", value: new Uint8Array(Math.max(0, length - 19)) }]
    }),
    withMaxLength: (maxLength) => Proxy.codec({ maxLength })
  })
})

const server = Line.server.pipe(Proxy.server({ trust: () => true, versions: [2], maxLength: 64 }))

/** Whether bytes are a header of the proxy itself, which may say anything else: it is dropped (2.2). */
const isLocal = (said: Uint8Array): boolean =>
  Buffer.from(said).toString("latin1", 0, 13) === "\r\n\r\n\0\r\nQUIT\n\x20" && said.length >= 16 &&
  16 + (said[14] << 8 | said[15]) === said.length && said.length <= 64

describe("the line protocol behind a header", () => {
  Laws.handshake({
    it: Law.it,
    name: "line behind PROXY",
    runs: 10,
    server: Handshake.named(server, "line"),
    client: Handshake.named(Line.client.pipe(Proxy.client(Proxy.local)), "line"),
    refusal: { server: "No! Go away!\n" },
    accepts: ({ index, said, side }) => side === "server" && index === 0 && isLocal(said),
    rungs: [Rung.pure, Rung.memory, Rung.simulated(), Rung.fast(Rung.pure)]
  })
})
