/**
 * `serve --watch`: what it makes of events, what it shows of that, and how it leaves the terminal.
 */
import { describe, expect, it } from "@effect/vitest"
import { TerminalCapabilities } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Terminal from "effect/Terminal"
import * as TestClock from "effect/testing/TestClock"
import * as Watched from "../src/cli/watched.ts"
import * as Watching from "../src/cli/watching.ts"
import type * as Peer from "../src/Peer.ts"
import type * as Server from "../src/Server.ts"
import { peerAt } from "./support/addressed.ts"
import * as Cli from "./support/cli.ts"
import { saying, serving } from "./support/serving.ts"
import * as Tcp from "./support/tcp.ts"

const somebody = peerAt("192.0.2.1")

const none: Server.Counts = { connections: 0, pending: 0, refusing: 0 }

type Told = readonly [tag: Server.Event["_tag"], id: number, at: number, more?: {
  readonly peer?: Peer.Peer
  readonly reason?: string
}]

/** What was seen of these events, from 0 on. */
const after = (...events: ReadonlyArray<Told>): Watched.Seen => {
  const seen = Watched.nothing(0)
  for (const [_tag, id, at, { peer = somebody, reason = "Rejected" } = {}] of events) {
    const event = { id, peer }
    switch (_tag) {
      case "Accepted":
      case "Ready":
        Watched.take(seen, { _tag, ...event }, at)
        break
      case "Refused":
      case "Failed":
        Watched.take(seen, { _tag, ...event, reason, error: undefined }, at)
        break
      case "Closed":
        Watched.take(seen, { _tag, ...event, error: undefined }, at)
    }
  }
  return seen
}

const shown = (seen: Watched.Seen, at: number, counts = none) => Watched.view(seen, "here", counts, at).join("\n")

/** A handshake that took so long, from the address of this number. */
const tookAt = (id: number, millis: number): ReadonlyArray<Told> => [
  ["Accepted", id, 0, { peer: peerAt(`192.0.2.${id}`) }],
  ["Ready", id, millis, { peer: peerAt(`192.0.2.${id}`) }]
]

describe("the view", () => {
  it("says so where nothing has happened", () => {
    expect(shown(after(), 999)).toBe(
      "here, for 0 s\n\n" +
        "connections  0 open, 0 in a handshake, 0 being refused\n" +
        "handshakes   0 ready, 0 refused, 0 failed\n" +
        "latency      none yet"
    )
  })

  it("has connections, outcomes by reason, latency and the slowest peers", () => {
    const other = { peer: peerAt("2001:db8::1") }
    const seen = after(
      ["Accepted", 1, 1000],
      ["Ready", 1, 1002.5],
      ["Accepted", 2, 1000, other],
      ["Refused", 2, 3000, { ...other, reason: "InvalidGreeting" }],
      ["Refused", 3, 3000],
      ["Refused", 4, 3000],
      ["Accepted", 5, 3000],
      ["Failed", 5, 3001, { reason: "ConnectionClosed" }],
      ["Accepted", 6, 65_000, { peer: peerAt("192.0.2.6") }]
    )
    expect(shown(seen, 65_500, { connections: 2, pending: 1, refusing: 1 })).toBe(
      "here, for 1 min 5 s\n\n" +
        "connections  2 open, 1 in a handshake, 1 being refused\n" +
        "handshakes   1 ready, 3 refused, 1 failed\n" +
        "latency      p50 2.5 ms, p99 2.5 ms, of the last 1 that became ready\n" +
        "refused      Rejected 2, InvalidGreeting 1\n" +
        "failed       ConnectionClosed 1\n\n" +
        "slowest peers\n" +
        "   2.0 s  2001:db8::1  InvalidGreeting\n" +
        "  500 ms  192.0.2.6  under way\n" +
        "  2.5 ms  192.0.2.1  ready"
    )
  })

  it("has the percentiles of the last 1,024 handshakes by the nearest rank", () => {
    const took = (n: number, millis: (i: number) => number) =>
      Array.from({ length: n }, (_, i): ReadonlyArray<Told> => [["Accepted", i, 0], ["Ready", i, millis(i)]]).flat()
    const slow = took(11, () => 5000)
    expect(shown(after(...took(100, (i) => i + 1)), 0)).toContain("p50 50.0 ms, p99 99.0 ms, of the last 100 ")
    // 11 of 1,024 are more than one in a hundred, 10 are not.
    expect(shown(after(...slow, ...took(1013, () => 1)), 0)).toContain("p50 1.0 ms, p99 5.0 s, of the last 1024 ")
    expect(shown(after(...slow, ...took(1014, () => 1)), 0)).toContain("p50 1.0 ms, p99 1.0 ms, of the last 1024 ")
  })

  it("has five peers, each once, the slowest first", () => {
    const seen = after(...[3, 1, 7, 5, 2, 6, 4, 7, 3].flatMap((id, i) => tookAt(id, id * 10 + i)))
    expect(Watched.view(seen, "here", none, 0).slice(-6)).toEqual([
      "slowest peers",
      "  77.0 ms  192.0.2.7  ready",
      "  65.0 ms  192.0.2.6  ready",
      "  53.0 ms  192.0.2.5  ready",
      "  46.0 ms  192.0.2.4  ready",
      "  38.0 ms  192.0.2.3  ready"
    ])
  })

  it("names a user that was introduced, in one line, and nothing that a terminal obeys", () => {
    const peer = { ...peerAt("192.0.2.1"), user: "al\nice\x1b[2J" }
    const text = shown(after(["Accepted", 1, 0], ["Ready", 1, 1, { peer }]), 1)
    expect(text).toMatch(/^ {2}1\.0 ms {2}al.*ice.* from 192\.0\.2\.1 {2}ready$/m)
    expect(text).not.toContain("\x1b")
  })

  it("forgets a handshake that was interrupted, and knows no more than 16,384 that are under way", () => {
    expect(shown(after(["Accepted", 1, 0], ["Closed", 1, 1]), 9)).not.toContain("under way")
    const many = (n: number) => after(...Array.from({ length: n }, (_, id): Told => ["Accepted", id, id]))
    expect(many(16_384).underWay.has(0)).toBe(true)
    const tooMany = many(16_385).underWay
    expect([tooMany.has(0), tooMany.size]).toEqual([false, 16_384])
  })

  it("is cut to the terminal", () => {
    expect(Watched.fit(["12345", "123456", "more"], 5, 2)).toEqual(["12345", "1234…"])
  })
})

describe("the drawing", () => {
  const watching = <A, E, R>(canAnimate: boolean, body: (displayed: Array<string>) => Effect.Effect<A, E, R>) => {
    const displayed: Array<string> = []
    return Effect.scoped(body(displayed)).pipe(
      Effect.provideService(TerminalCapabilities.TerminalCapabilities, {
        canAnimate,
        canColor: false,
        canPrompt: false
      }),
      Effect.provideService(
        Terminal.Terminal,
        Terminal.make({
          columns: Effect.succeed(80),
          rows: Effect.succeed(24),
          size: Effect.never,
          readInput: Effect.never,
          readLine: Effect.never,
          display: (text) => Effect.sync(() => displayed.push(text))
        })
      ),
      Effect.as(displayed)
    )
  }

  it.effect("is four times a second, of what has happened", () =>
    watching(true, (displayed) =>
      Effect.gen(function*() {
        const { network, server } = yield* serving()
        yield* Watching.watch(server, "here")
        yield* saying(network, "You ready?\n")
        yield* TestClock.adjust("998 millis")
        // The screen, at once, and after 250, 500 and 750 ms.
        expect(displayed).toHaveLength(5)
        expect(displayed[4]).toMatch(/^\x1b\[Hhere, for 0 s[^]*1 open, 0 in a handshake[^]* 1 ready, 0 refused/)
      })))

  it.effect("leaves the terminal as it was, with the last of what was seen", () =>
    Effect.gen(function*() {
      const displayed = yield* watching(true, () =>
        Effect.gen(function*() {
          const { network, server } = yield* serving()
          yield* Watching.watch(server, "here")
          yield* saying(network, "You ready?\n")
        }))
      const [first, ...others] = displayed
      expect(first).toBe("\x1b[?1049h\x1b[?25l")
      expect(others.slice(-2)).toEqual(["\x1b[?25h\x1b[?1049l", expect.stringMatching(/^connections[^]*1 ready/)])
    }))

  it.effect("is none where there is no terminal", () =>
    Effect.gen(function*() {
      const displayed = yield* watching(false, () =>
        Effect.gen(function*() {
          const { server } = yield* serving()
          yield* Watching.watch(server, "here")
          yield* TestClock.adjust("1 second")
        }))
      expect(displayed).toEqual([])
    }))
})

describe("the command", () => {
  it.live("serves without a terminal, and says so in one line", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serveHere("line", "--port", "0", "--watch")
      yield* server.complains("\n")
      const peer = yield* Tcp.saying(server.port, "You ready?\nHello\n")
      yield* peer.hears("Bring it!\nHello\n")
      expect(server.stderr()).toBe("--watch needs a terminal: serving without it\n")
    }))

  it.live("does not watch several processes", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* Cli.here("serve", "line", "--port", "0", "--watch", "--workers", "2")
      expect(stderr).toBe("--watch shows one process: leave out --workers, or --watch\n")
      expect(code).toBe(64)
    }))
})
