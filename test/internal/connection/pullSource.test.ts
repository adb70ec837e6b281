import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Socket from "effect/socket/Socket"
import * as Codec from "../../../src/Codec.ts"
import * as Transport from "../../../src/Transport.ts"
import { utf8 } from "../../support/conversation.ts"

it.effect("bytes keep their order where a pull makes this side write, and that wants to notice the end", () =>
  Effect.gen(function*() {
    const pieces = ["a", "b", "c\n"]
    const socket = Socket.make({
      reader: Effect.succeed({
        pull: Effect.suspend(() => {
          const piece = pieces.shift()
          if (piece === undefined) return Effect.never
          if (piece === "a") Effect.runFork(transport.send("x"))
          return Effect.succeed([utf8(piece)] as const)
        }),
        upgrade: Socket.SocketUpgradeError.unsupported
      }),
      writer: Effect.succeed({ write: () => Effect.never, writeAll: () => Effect.never })
    })
    const transport: Transport.Transport<string, string> = yield* Effect.provideService(
      Transport.framed(Codec.lines()),
      Socket.Socket,
      socket
    )
    expect(yield* transport.receive).toBe("abc")
  }))
