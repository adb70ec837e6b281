/**
 * The laws of a handshake with everything that the steps offer, on five rungs and on the fast way.
 */
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Pipeline from "../../src/Pipeline.ts"
import * as Laws from "../../src/testing/Laws.ts"
import { utf8 } from "../support/conversation.ts"
import * as Coverage from "../support/coverage.ts"
import { password, vault } from "../support/handshakes.ts"
import * as Law from "../support/laws.ts"
import { rungs } from "../support/rungs.ts"

const suite = Laws.handshake({
  ...vault,
  name: "vault",
  rungs,
  runs: Law.runs,
  it: Law.it,
  secrets: [password],
  calls: {
    serve: Pipeline.serve((packet: Uint8Array) => Effect.succeed(packet.toReversed())),
    requests: [utf8("abc"), utf8(""), utf8("defgh")],
    respond: (packet) => packet.toReversed()
  }
})

describe("coverage", () => {
  Coverage.complete(suite)
})
