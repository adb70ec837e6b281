import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as TestClock from "effect/testing/TestClock"
import * as MemorySocket from "../../src/testing/MemorySocket.ts"
import { cutInto, text, utf8 } from "../support/conversation.ts"

const pulled = (reader: Socket.Reader) => Effect.map(reader.pull, ([chunk]) => text(chunk as Uint8Array))

describe("pair", () => {
  it.effect("joins writes that nobody has pulled yet", () =>
    Effect.gen(function*() {
      const [left, right] = yield* MemorySocket.pair()
      const writer = yield* left.writer
      const reader = yield* right.reader
      yield* Effect.andThen(writer.write(utf8("one")), writer.writeAll(["two", utf8("three")]))
      expect(yield* pulled(reader)).toBe("onetwothree")
    }))

  it.effect("cuts what is written into segments, one a pull", () =>
    Effect.gen(function*() {
      const [left, right] = yield* MemorySocket.pair({ segments: cutInto([2]) })
      const writer = yield* left.writer
      const reader = yield* right.reader
      yield* writer.write(utf8("abcde"))
      expect([yield* pulled(reader), yield* pulled(reader), yield* pulled(reader)]).toEqual(["ab", "cd", "e"])
    }))

  it.effect("keeps its own copy of what is written", () =>
    Effect.gen(function*() {
      const [left, right] = yield* MemorySocket.pair()
      const writer = yield* left.writer
      const reader = yield* right.reader
      const bytes = utf8("abc")
      yield* writer.write(bytes)
      bytes.fill(0)
      expect(yield* pulled(reader)).toBe("abc")
    }))

  it.effect("a full direction makes its writer wait, and one byte less does not", () =>
    Effect.gen(function*() {
      const [left, right] = yield* MemorySocket.pair({ capacity: 4 })
      const writer = yield* left.writer
      const reader = yield* right.reader
      yield* writer.write(utf8("abc"))
      const waiting = yield* Effect.forkChild(writer.write(utf8("d")))
      yield* TestClock.adjust("1 second")
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* pulled(reader)
      yield* TestClock.adjust("1 second")
      expect(waiting.pollUnsafe()).toEqual(Exit.void)
    }))

  it.effect("the end of the writer's scope ends one direction, in order and behind the bytes", () =>
    Effect.gen(function*() {
      const [left, right] = yield* MemorySocket.pair()
      const scope = yield* Scope.make()
      const writer = yield* Scope.provide(left.writer, scope)
      const [here, there] = [yield* left.reader, yield* right.reader]
      const back = yield* right.writer
      yield* writer.write(utf8("bye"))
      yield* Scope.close(scope, Exit.void)
      expect(yield* pulled(there)).toBe("bye")
      expect((yield* Effect.flip(there.pull)).reason).toMatchObject({ _tag: "SocketCloseError", code: 1000 })
      yield* back.write(utf8("still here"))
      expect(yield* pulled(here)).toBe("still here")
    }))

  it.effect("the end of the reader's scope ends both, and fails writes to it", () =>
    Effect.gen(function*() {
      const [left, right] = yield* MemorySocket.pair()
      const scope = yield* Scope.make()
      yield* Scope.provide(left.reader, scope)
      const there = yield* right.reader
      const back = yield* right.writer
      yield* Scope.close(scope, Exit.void)
      expect((yield* Effect.flip(there.pull)).reason).toMatchObject({ _tag: "SocketCloseError", code: 1000 })
      expect((yield* Effect.flip(back.write(utf8("x")))).reason._tag).toBe("SocketWriteError")
    }))
})

describe("network", () => {
  it.effect("connections that come before the server runs wait for it", () =>
    Effect.gen(function*() {
      const { client, server } = yield* MemorySocket.network()
      const reader = yield* client.reader
      yield* Effect.forkScoped(server.run((socket) =>
        Effect.scoped(Effect.gen(function*() {
          yield* socket.reader
          yield* Effect.flatMap(socket.writer, (writer) => writer.write(utf8("welcome")))
        }))
      ))
      expect(yield* pulled(reader)).toBe("welcome")
    }))
})
