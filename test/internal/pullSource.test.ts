import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../src/Codec.ts"
import * as Transport from "../../src/Transport.ts"
import { utf8 } from "../support/conversation.ts"

/** A socket whose writes wait for ever, and that calls back in the middle of its first pull. */
const socketOf = (pulls: ReadonlyArray<ReadonlyArray<string>>, onPull: () => void) => {
  let next = 0
  return Socket.make({
    reader: Effect.succeed({
      pull: Effect.suspend(() => {
        const [first, ...rest] = pulls[next++] ?? []
        if (first === undefined) return Effect.never
        if (next === 1) onPull()
        const pieces = Effect.succeed([utf8(first), ...rest.map(utf8)] as const)
        return rest.length === 0 ? pieces : Effect.andThen(Effect.yieldNow, pieces)
      }),
      upgrade: Socket.SocketUpgradeError.unsupported
    }),
    writer: Effect.succeed({ write: () => Effect.never, writeAll: () => Effect.never })
  })
}

it.effect("bytes keep their order where a pull makes this side write, and that wants to notice the end", () =>
  Effect.gen(function*() {
    const transport = yield* Effect.provideService(
      Transport.framed(Codec.lines()),
      Socket.Socket,
      socketOf([["a"], ["b"], ["c\n"]], () => Effect.runFork(transport.send("x")))
    )
    expect(yield* transport.receive).toBe("abc")
  }))

it.effect("so they do where one pull has several pieces, and the first of them makes somebody read on", () =>
  Effect.gen(function*() {
    const transport = yield* Effect.provideService(
      Transport.framed(Codec.lines()),
      Socket.Socket,
      socketOf([["a\n", "b"], ["c\n"]], () => {})
    )
    expect(yield* transport.receive).toBe("a")
    expect(yield* transport.receive).toBe("bc")
  }))
