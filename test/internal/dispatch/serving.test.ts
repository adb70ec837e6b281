import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import type * as Body from "../../../src/Body.ts"
import * as Codec from "../../../src/Codec.ts"
import * as Multiplex from "../../../src/Multiplex.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as MemorySocket from "../../../src/testing/MemorySocket.ts"
import * as Transport from "../../../src/Transport.ts"
import type { TransportError } from "../../../src/TransportError.ts"
import { rawPeer, utf8 } from "../../support/conversation.ts"
import { connectedWith, epipe } from "../../support/heldWrites.ts"
import { settled } from "../../support/serving.ts"

// What every kind of service does the same. Each request is a line that begins with its id, and so is its answer. --------

const idOf = (line: string) => Number.parseInt(line)

const whole = {
  head: (head: string) => head,
  chunk: (chunk: string) => chunk,
  end: () => ".",
  read: (head: string): Body.Part<string, string> => ({ _tag: "Head", head, hasBody: false })
}

const wholeById = {
  head: (_id: number, head: string) => head,
  chunk: (_id: number, chunk: string) => chunk,
  end: () => ".",
  read: (head: string): Multiplex.MessagePart<number, string, string> => ({
    _tag: "Head",
    id: idOf(head),
    head,
    hasBody: false
  })
}

type Handler = (request: string) => Effect.Effect<string>
type Serve = (handler: Handler) => (
  transport: Transport.Transport<string, string>
) => Effect.Effect<void, TransportError>

/** A handler that is done at once stays one. */
const headless = (handler: Handler) => ({ head }: Body.Message<string, string, Body.ReadError>) => {
  const whole = (head: string) => ({ head, body: undefined })
  const answer = handler(head)
  // The guard forgets what the Effect's own type says.
  return Exit.isExit(answer) ? Exit.map(answer as Exit.Exit<string>, whole) : Effect.map(answer, whole)
}

const kinds: ReadonlyArray<readonly [name: string, serve: Serve]> = [
  ["Pipeline.serve", (handler) => Pipeline.serve(handler)],
  [
    "Pipeline.serveStreaming",
    (handler) => Pipeline.serveStreaming({ request: whole, response: whole }, headless(handler))
  ],
  [
    "Multiplex.serve",
    (handler) =>
      Multiplex.serve({
        fromClient: (line: string) => ({ _tag: "Request", id: idOf(line), body: line }),
        response: (_id: number, answer: string) => answer
      }, handler)
  ],
  [
    "Multiplex.serveStreaming",
    (handler) => Multiplex.serveStreaming({ request: wholeById, response: wholeById }, headless(handler))
  ]
]

const reasonOf = (exit: Exit.Exit<void, TransportError>) =>
  Option.getOrUndefined(Option.map(Exit.findErrorOption(exit), (error) => error.reason._tag))

describe.each(kinds)("%s", (_name, serve) => {
  it.effect("begins no request after a write that has failed, and fails with it", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const { say, transport, writes } = yield* connectedWith(Codec.lines())
      const fiber = yield* Effect.forkChild(
        serve((request) => Effect.sync(() => (began.push(request), request)))(transport)
      )
      yield* say("1\n")
      yield* settled
      yield* say("2\n3\n")
      yield* settled
      writes[0](Effect.fail(epipe))
      yield* settled
      expect(began).toEqual(["1"])
      expect(reasonOf(yield* Fiber.await(fiber))).toBe("ConnectionFailed")
    }))

  it.effect("begins what has come meanwhile after a write that has succeeded", () =>
    Effect.gen(function*() {
      const began: Array<string> = []
      const { say, transport, writes } = yield* connectedWith(Codec.lines())
      yield* Effect.forkChild(serve((request) => Effect.sync(() => (began.push(request), request)))(transport))
      yield* say("1\n")
      yield* settled
      yield* say("2\n3\n")
      yield* settled
      expect(began).toEqual(["1"])
      writes[0](Effect.void)
      yield* settled
      expect(began).toEqual(["1", "2", "3"])
    }))

  it.effect("writes nothing after a write that has failed, whatever was answered meanwhile", () =>
    Effect.gen(function*() {
      const { say, transport, writes, written } = yield* connectedWith(Codec.lines())
      const fiber = yield* Effect.forkChild(
        serve((request) => request === "1" ? Exit.succeed(request) : Effect.delay(Effect.succeed(request), "5 millis"))(
          transport
        )
      )
      yield* say("1\n2\n")
      yield* TestClock.adjust("10 millis")
      writes[0](Effect.fail(epipe))
      yield* settled
      expect(reasonOf(yield* Fiber.await(fiber))).toBe("ConnectionFailed")
      expect(written).toEqual(["1\n"])
    }))

  it.effect("writes at most 1,024 answers at once, however many are ready", () =>
    Effect.gen(function*() {
      const { say, transport, writes, written } = yield* connectedWith(Codec.lines())
      yield* Effect.forkChild(serve((request) => Exit.succeed(request))(transport))
      yield* say(Array.from({ length: 1025 }, (_, id) => `${id}\n`).join(""))
      yield* settled
      expect(written.map((lines) => lines.split("\n").length - 1)).toEqual([1024])
      writes[0](Effect.void)
      yield* settled
      expect(written.map((lines) => lines.split("\n").length - 1)).toEqual([1024, 1])
    }))

  it.effect("takes 1,024 requests of one connection, and then those of the others", () =>
    Effect.gen(function*() {
      const began: Array<number> = []
      const open = Effect.fnUntraced(function*() {
        const [here, there] = yield* MemorySocket.pair()
        const peer = yield* rawPeer(there)
        const transport = yield* Effect.provideService(Transport.framed(Codec.lines()), Socket.Socket, here)
        yield* Effect.forkChild(
          serve((request) => {
            began.push(idOf(request))
            return Exit.succeed(request)
          })(transport)
        )
        return peer
      })
      const [greedy, modest] = [yield* open(), yield* open()]
      yield* settled
      yield* Effect.all([
        greedy.write(utf8(Array.from({ length: 3000 }, (_, id) => `${id}\n`).join(""))),
        modest.write(utf8("9000\n"))
      ], { concurrency: 2 })
      yield* settled
      expect(began.indexOf(9000)).toBe(1024)
      expect(began).toHaveLength(3001)
      expect(greedy.heard().split("\n")).toHaveLength(3001)
    }))
})
