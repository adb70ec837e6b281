/**
 * The wall's clock may be set at any moment. Nothing that takes time may end sooner or later for it.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as Codec from "../src/Codec.ts"
import { Patience } from "../src/internal/dispatch/body.ts"
import * as Middleware from "../src/Middleware.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Transport from "../src/Transport.ts"
import { rawPeer, utf8 } from "./support/conversation.ts"
import { saying, serving } from "./support/serving.ts"

const hour = Duration.toMillis("1 hour")

type Lines = Transport.Transport<string, string>

type Sets = (millis: number) => void

/** Runs with a clock whose wall can be set, and the time that passes with it cannot. */
const onAWall = <A, E>(
  body: (set: Sets) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let shift = 0
    const millis = () => clock.currentTimeMillisUnsafe() + shift
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(shift) * 1_000_000n
    return Effect.provideService(
      body((by) => {
        shift += by
      }),
      Clock.Clock,
      {
        ...clock,
        currentTimeMillisUnsafe: millis,
        currentTimeMillis: Effect.sync(millis),
        currentTimeNanosUnsafe: nanos,
        currentTimeNanos: Effect.sync(nanos)
      }
    )
  })

describe.each([["back", -hour], ["forward", hour]])("when the wall's clock is set %s by an hour", (_, jump) => {
  it.effect("a silent peer is cut off at the deadline, and one that came later at its own", () =>
    onAWall(Effect.fnUntraced(function*(set) {
      const { network, server } = yield* serving({ handshakeTimeout: "2 seconds" })
      yield* saying(network, "")
      yield* TestClock.adjust("998 millis")
      yield* saying(network, "")
      set(jump)
      yield* TestClock.adjust("999 millis")
      expect((yield* server.counts).pending).toBe(2)
      yield* TestClock.adjust("1 millis")
      expect((yield* server.counts).pending).toBe(1)
      yield* TestClock.adjust("998 millis")
      expect((yield* server.counts).pending).toBe(1)
      yield* TestClock.adjust("2 millis")
      expect((yield* server.counts).pending).toBe(0)
    })))

  const watched = Effect.fnUntraced(function*(
    middleware: (transport: Lines) => Effect.Effect<Lines, never, Scope.Scope>
  ) {
    const [here, there] = yield* MemorySocket.pair()
    const peer = yield* rawPeer(there)
    const running = yield* Transport.framed(Codec.lines()).pipe(
      Effect.provideService(Socket.Socket, here),
      Effect.flatMap(middleware),
      Effect.flatMap((transport) => Stream.runDrain(transport.incoming)),
      Effect.forkScoped
    )
    return { peer, running }
  })

  it.effect("an idle connection ends when it has been idle for so long", () =>
    onAWall(Effect.fnUntraced(function*(set) {
      const { peer, running } = yield* watched(Middleware.idleTimeout("1 minute"))
      yield* TestClock.adjust("30 seconds")
      set(jump)
      yield* peer.write(utf8("one\n"))
      yield* TestClock.adjust("59999 millis")
      expect(running.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect((yield* Effect.flip(Fiber.join(running))).message).toBe("the connection was idle for 1m")
    })))

  it.effect("a ping goes out after its interval, and its pong is waited for as long as ever", () =>
    onAWall(Effect.fnUntraced(function*(set) {
      const { peer, running } = yield* watched(Middleware.keepAlive({
        ping: "ping",
        isPong: (line) => line === "pong",
        interval: "30 seconds",
        timeout: "10 seconds"
      }))
      set(jump)
      yield* TestClock.adjust("29999 millis")
      expect(peer.heard()).toBe("")
      yield* TestClock.adjust("1 millis")
      expect(peer.heard()).toBe("ping\n")
      set(jump)
      yield* TestClock.adjust("9999 millis")
      expect(running.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust("1 millis")
      expect((yield* Effect.flip(Fiber.join(running))).message).toBe("the peer did not answer a ping within 10s")
    })))

  it.effect("a body that nobody reads is given up after its time", () =>
    onAWall(Effect.fnUntraced(function*(set) {
      let isOver = false
      const patience = new Patience(
        yield* Clock.Clock,
        Effect.runForkWith(yield* Effect.context<never>()),
        Duration.seconds(5),
        () => {
          isOver = true
        }
      )
      patience.begin()
      yield* TestClock.adjust("1 second")
      patience.end()
      patience.begin()
      set(jump)
      yield* TestClock.adjust("4999 millis")
      expect(isOver).toBe(false)
      yield* TestClock.adjust("1 millis")
      expect(isOver).toBe(true)
    })))

  it.effect("a transcript goes on with the times that have passed", () =>
    onAWall(Effect.fnUntraced(function*(set) {
      const recorder = yield* Transcript.recorder
      recorder.observer({ _tag: "Ended", message: "first", how: undefined })
      set(jump)
      yield* TestClock.adjust("1 second")
      recorder.observer({ _tag: "Ended", message: "second", how: undefined })
      expect(recorder.entries().map(({ atMs }) => atMs)).toEqual([0, 1000])
    })))
})
