import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import * as Client from "../src/Client.ts"
import * as Codec from "../src/Codec.ts"
import * as Transport from "../src/Transport.ts"
import { dialled } from "./support/dialled.ts"
import { settled } from "./support/serving.ts"

/** What happens next: a call, some answers, the end of the connection, or time. */
const Happening = Schema.Literals(["call", "idempotent", "answer", "cut", "pass"])

it.effect.prop(
  "whatever calls, cuts and reconnects come in which order: every call ends, with its own answer or typed, and none is sent twice that must not be",
  { refusals: Schema.Array(Schema.Boolean), happenings: Schema.Array(Happening) },
  ({ happenings, refusals }) =>
    Effect.gen(function*() {
      const { dial, peers } = yield* dialled((_, nth) =>
        refusals[nth % (refusals.length + 1)] === true ? "refused" : []
      )
      const client = yield* Client.reconnecting({
        handshake: Transport.framed(Codec.lines()),
        sockets: [dial("a")],
        schedule: Schedule.spaced("1 second"),
        maxInFlight: 2,
        maxWaiting: 4,
        idempotent: (line) => line.startsWith("idempotent")
      })
      const calls: Array<readonly [line: string, fiber: Fiber.Fiber<string, unknown>]> = []
      const answered = new Map<unknown, number>()
      const gone = new Set<unknown>()
      const last = () => peers.findLast((peer) => !gone.has(peer))
      for (const happening of happenings) {
        const peer = last()
        if (happening === "call" || happening === "idempotent") {
          const line = `${happening} ${calls.length}`
          calls.push([line, yield* Effect.forkChild(client.call(line), { startImmediately: true })])
        } else if (happening === "answer" && peer !== undefined) {
          const from = answered.get(peer) ?? 0
          const heard = peer.heard()
          answered.set(peer, heard.length)
          yield* peer.say(...heard.slice(from).map((line) => `re ${line}`))
        } else if (happening === "cut" && peer !== undefined) {
          gone.add(peer)
          yield* peer.end
        } else yield* TestClock.adjust("1 second")
        yield* settled
      }
      // At last nobody answers any more, and everything ends all the same.
      for (const peer of peers) {
        if (!gone.has(peer)) yield* peer.end
        gone.add(peer)
      }
      for (let n = 0; n < 60; n++) {
        yield* TestClock.adjust("1 second")
        const peer = last()
        if (peer === undefined) continue
        gone.add(peer)
        yield* peer.end
      }
      const heard = peers.map((peer) => peer.heard())
      for (const [line, fiber] of calls) {
        const times = heard.flat().filter((each) => each === line).length
        const exit = yield* Fiber.await(fiber)
        if (Exit.isSuccess(exit)) expect(exit.value).toBe(`re ${line}`)
        else {
          const error = Option.getOrUndefined(Exit.findErrorOption(exit)) as { readonly sent: string } | undefined
          expect(error).toMatchObject({
            _tag: "TransportError",
            sent: times > 0 ? "perhaps" : expect.stringMatching(/^(no|perhaps)$/)
          })
          if (error?.sent === "no") expect(times).toBe(0)
        }
        if (line.startsWith("call")) expect(times).toBeLessThanOrEqual(1)
        else expect(times).toBeLessThanOrEqual(4)
      }
      // Of what was sent once, on one connection, the order is that of the calls.
      for (const lines of heard) {
        const once = lines.filter((line) => line.startsWith("call")).map((line) => Number(line.split(" ")[1]))
        expect(once).toEqual(once.toSorted((a, b) => a - b))
      }
    }),
  { arbitrary: { runs: 40 }, timeout: 60_000 }
)
