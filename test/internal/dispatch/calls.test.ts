import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Body from "../../../src/Body.ts"
import * as Codec from "../../../src/Codec.ts"
import * as Multiplex from "../../../src/Multiplex.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import type * as Transport from "../../../src/Transport.ts"
import { connectedWith, epipe } from "../../support/heldWrites.ts"
import { settled } from "../../support/serving.ts"

// What every kind of client does the same. Each request is a word behind its id, and so is its answer. --------------------

const write = (id: number, word: string) => `${id} ${word}`
const read = (line: string) => ({ id: Number.parseInt(line), word: line.slice(line.indexOf(" ") + 1) })

const whole = {
  head: (word: string) => write(0, word),
  chunk: (chunk: string) => chunk,
  end: () => ".",
  read: (line: string): Body.Part<string, string> => ({ _tag: "Head", head: read(line).word, hasBody: false })
}

const wholeById = {
  head: write,
  chunk: (_id: number, chunk: string) => chunk,
  end: () => ".",
  read: (line: string): Multiplex.MessagePart<number, string, string> => ({
    _tag: "Head",
    id: read(line).id,
    head: read(line).word,
    hasBody: false
  })
}

type Call = (word: string) => Effect.Effect<string, Body.ReadError>
type Client = (transport: Transport.Transport<string, string>) => Effect.Effect<Call, never, Scope.Scope>

const headOf = Effect.map(({ head }: Body.Message<string, string, Body.ReadError>) => head)

const kinds: ReadonlyArray<readonly [name: string, client: Client]> = [
  [
    "Pipeline.client",
    (transport) =>
      Effect.map(
        Pipeline.client(transport),
        ({ call }): Call => (word) => Effect.map(call(write(0, word)), (line) => read(line).word)
      )
  ],
  [
    "Pipeline.streamingClient",
    (transport) =>
      Effect.map(
        Pipeline.streamingClient({ request: whole, response: whole }, transport),
        ({ call }): Call => (head) => Effect.scoped(headOf(call({ head, body: undefined })))
      )
  ],
  [
    "Multiplex.client",
    (transport) =>
      Effect.map(
        Multiplex.client({
          request: write,
          fromServer: (line: string) => ({ _tag: "Response", id: read(line).id, body: read(line).word })
        }, transport),
        ({ call }): Call => call
      )
  ],
  [
    "Multiplex.streamingClient",
    (transport) =>
      Effect.map(
        Multiplex.streamingClient({ request: wholeById, response: wholeById }, transport),
        ({ call }): Call => (head) => Effect.scoped(headOf(call({ head, body: undefined })))
      )
  ]
]

/** A codec that breaks on a word. */
const words = Codec.map(Codec.lines(), {
  decode: (line: string) => line,
  encode: (line: string) => {
    if (line.endsWith("bad")) throw new Error("no word")
    return line
  }
})

const reasonOf = (exit: Exit.Exit<unknown, Body.ReadError>) =>
  Option.getOrUndefined(Option.map(Exit.findErrorOption(exit), (error) => error.reason._tag))

describe.each(kinds)("%s", (_name, client) => {
  it.effect("writes no call after a write that has failed, and every call fails with it", () =>
    Effect.gen(function*() {
      const { transport, writes, written } = yield* connectedWith(words)
      const call = yield* client(transport)
      const first = yield* Effect.forkChild(call("one"))
      yield* settled
      const second = yield* Effect.forkChild(call("two"))
      yield* settled
      writes[0](Effect.fail(epipe))
      yield* settled
      expect(reasonOf(yield* Fiber.await(first))).toBe("ConnectionFailed")
      expect(reasonOf(yield* Fiber.await(second))).toBe("ConnectionFailed")
      expect(written).toEqual(["0 one\n"])
    }))

  it.effect("says of a call that has failed whether it was sent", () =>
    Effect.gen(function*() {
      const { transport, writes } = yield* connectedWith(words)
      const call = yield* client(transport)
      expect(yield* Effect.flip(call("two\nlines"))).toMatchObject({ reason: { _tag: "MalformedFrame" }, sent: "no" })
      const first = yield* Effect.forkChild(call("one"))
      yield* settled
      const second = yield* Effect.forkChild(call("two"))
      yield* settled
      writes[0](Effect.fail(epipe))
      expect(yield* Effect.flip(Fiber.join(first))).toMatchObject({ sent: "perhaps" })
      expect(yield* Effect.flip(Fiber.join(second))).toMatchObject({ sent: "no" })
      expect(yield* Effect.flip(call("three"))).toMatchObject({ sent: "no" })
    }))

  it.effect("writes the calls that have come meanwhile after a write that has succeeded", () =>
    Effect.gen(function*() {
      const { say, transport, writes, written } = yield* connectedWith(words)
      const call = yield* client(transport)
      const first = yield* Effect.forkChild(call("one"))
      yield* settled
      const second = yield* Effect.forkChild(call("two"))
      yield* settled
      writes[0](Effect.void)
      yield* settled
      expect(written.join("")).toMatch(/^0 one\n[01] two\n$/)
      yield* say(written.join(""))
      expect(yield* Fiber.join(first)).toBe("one")
      expect(yield* Fiber.join(second)).toBe("two")
    }))

  it.effect("a call that the codec breaks on dies alone, and the others go on", () =>
    Effect.gen(function*() {
      const { say, transport, writes, written } = yield* connectedWith(words)
      const call = yield* client(transport)
      const first = yield* Effect.forkChild(call("one"))
      const bad = yield* Effect.forkChild(call("bad"))
      const last = yield* Effect.forkChild(call("two"))
      yield* settled
      writes[0](Effect.void)
      yield* settled
      expect(Exit.hasDies(yield* Fiber.await(bad))).toBe(true)
      yield* say(written.join(""))
      expect(yield* Fiber.join(first)).toBe("one")
      expect(yield* Fiber.join(last)).toBe("two")
    }))
})

// Those that can cancel a call. Whether anything answers a cancel makes no difference here. --------------------------------

const cancel = (id: number) => `${id} cancelled`

const byId = (cancelled: true | undefined): ReadonlyArray<readonly [name: string, client: Client]> => [
  [
    "Multiplex.client",
    (transport) =>
      Effect.map(
        Multiplex.client({
          request: write,
          fromServer: (line: string) => ({ _tag: "Response", id: read(line).id, body: read(line).word }),
          cancel,
          cancelled
        }, transport),
        ({ call }): Call => call
      )
  ],
  [
    "Multiplex.streamingClient",
    (transport) =>
      Effect.map(
        Multiplex.streamingClient({ request: wholeById, response: wholeById, cancel, cancelled }, transport),
        ({ call }): Call => (head) => Effect.scoped(headOf(call({ head, body: undefined })))
      )
  ]
]

describe.each([...byId(true), ...byId(undefined)])("%s, cancelling", (_name, client) => {
  const cancelling = Effect.fnUntraced(function*(answers: boolean) {
    const { say, transport, writes, written } = yield* connectedWith(words)
    const call = yield* client(transport)
    const first = yield* Effect.forkChild(call("one"))
    yield* settled
    writes[0](Effect.void)
    yield* settled
    yield* Effect.forkChild(call("two"))
    yield* settled
    // Meanwhile the second write waits.
    yield* Fiber.interrupt(first)
    if (answers) yield* say("0 one\n")
    yield* settled
    writes[1](Effect.void)
    yield* settled
    return written
  })

  it.effect("cancels a call that is given up", () =>
    Effect.gen(function*() {
      expect(yield* cancelling(false)).toEqual(["0 one\n", "1 two\n", "0 cancelled\n"])
    }))

  it.effect("does not cancel what was answered before the cancel could be written", () =>
    Effect.gen(function*() {
      expect(yield* cancelling(true)).toEqual(["0 one\n", "1 two\n"])
    }))
})
