import { describe, expect, it, layer, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { readFileSync } from "node:fs"
import * as NodeNet from "node:net"
import * as Cli from "./support/cli.ts"
import * as Processes from "./support/processes.ts"
import * as Tcp from "./support/tcp.ts"
import { timed } from "./support/timed.ts"

const refusal = "No! Go away!\n"

/** Resident memory in MB, where the system tells. */
const memory = (pid: number): Option.Option<number> => {
  if (process.platform !== "linux") return Option.none()
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
  return Option.map(Option.fromNullishOr(kilobytes), (match) => Number(match[1]) / 1024)
}

// Each test has processes of its own, and most of its time goes into starting them.
describe.concurrent("demo", () => {
  it.live("plays its scenes and exits 0", () =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* Cli.fromSources("demo")
      expect(code).toBe(0)
      for (const said of ["\"You ready?\"", "\"Bring it!\"", "\"No! Go away!\"", "Hello", "Goodbye", "├──", "◄──"]) {
        expect(stdout).toContain(said)
      }
      expect(stdout).toMatch(/^1\. A client is accepted[^]*^2\. [^]* turned away[^]*^4\. [^]*at capacity/m)
      expect(stderr).toBe("")
    }))
})

/** A server that tests share, one after the other; the last one ends it. */
class Shared extends Context.Service<Shared, Effect.Success<ReturnType<typeof Cli.serve>>>()("test/Shared") {}

layer(Layer.effect(Shared, Cli.serve()), { excludeTestServices: true, timeout: "40 seconds" })(
  "serve line, as it is",
  (it) => {
    it.effect("tells where it listens in its first line", () =>
      Effect.gen(function*() {
        const server = yield* Shared
        expect(yield* server.firstLine).toMatch(/^listening on 127\.0\.0\.1:[1-9]\d*$/)
        expect(server.stderr()).toBe("")
      }))

    it.effect("greets and echoes what came in one segment, after the half-close too", () =>
      Effect.gen(function*() {
        const { port } = yield* Shared
        const peer = yield* Tcp.saying(port, "You ready?\nHello\nGoodbye\n")
        yield* peer.end
        expect(yield* peer.ended).toBe("Bring it!\nHello\nGoodbye\n")
      }))

    it.effect("says the same to the same bytes, one at a time", () =>
      Effect.gen(function*() {
        const { port } = yield* Shared
        const peer = yield* Tcp.dial(port)
        yield* peer.spell("You ready?\nHello\nGoodbye\n")
        yield* peer.end
        expect(yield* peer.ended).toBe("Bring it!\nHello\nGoodbye\n")
      }))

    it.effect("turns away a greeting that ends with \\r\\n", () =>
      Effect.gen(function*() {
        const { port } = yield* Shared
        const peer = yield* Tcp.saying(port, "You ready?\r\n")
        expect(yield* peer.ended).toBe(refusal)
      }))

    it.effect("turns away a line without end, in little memory, so that its sender can hear it", () =>
      Effect.gen(function*() {
        const { pid, port } = yield* Shared
        const good = yield* Tcp.saying(port, "You ready?\n")
        yield* good.hears("Bring it!\n")
        const before = memory(pid)
        const peer = yield* Tcp.dial(port)
        // It says all that it has to say before it listens.
        yield* peer.deafen
        for (let i = 0; i < 32; i++) yield* peer.say(new Uint8Array(64 * 1024).fill(0x61))
        yield* peer.end
        yield* peer.listen
        expect(yield* peer.ended).toBe(refusal)
        yield* good.say("Hello\n")
        yield* good.hears("Bring it!\nHello\n")
        if (Option.isSome(before)) expect(Option.getOrThrow(memory(pid)) - before.value).toBeLessThan(30)
      }))

    it.effect("keeps nothing of what a peer says that is turned away", () =>
      Effect.gen(function*() {
        const { pid, port } = yield* Shared
        const good = yield* Tcp.saying(port, "You ready?\n")
        yield* good.hears("Bring it!\n")
        const before = memory(pid)
        const peer = yield* Tcp.saying(port, "Hi\n")
        expect(yield* peer.ended).toBe(refusal)
        // The server need not listen to all of it.
        for (let i = 0; i < 2048 && peer.socket.writable; i++) yield* peer.say(new Uint8Array(64 * 1024))
        const after = memory(pid)
        yield* good.say("Hello\n")
        yield* good.hears("Bring it!\nHello\n")
        if (Option.isSome(before)) expect(Option.getOrThrow(after) - before.value).toBeLessThan(80)
      }))

    it.effect("is one process without --workers", () =>
      Effect.gen(function*() {
        expect(Processes.childrenOf((yield* Shared).pid)).toEqual([])
      }))

    it.effect("on SIGINT with nobody there exits 0 at once", () =>
      Effect.gen(function*() {
        const server = yield* Shared
        yield* server.kill("SIGINT")
        const [code, ms] = yield* timed(server.exit)
        expect(code).toBe(0)
        expect(ms).toBeLessThan(2000)
        expect(server.stdout()).toBe(`listening on 127.0.0.1:${server.port}\n`)
        expect(server.stderr()).toBe("")
      }))
  }
)

describe.concurrent("serve line", () => {
  it.live("serves a good client while 500 silent ones wait for their deadline, and ends all of those", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serve("--handshake-timeout", "3s")
      const silent = yield* Effect.forEach(Array.from({ length: 500 }), () => Tcp.dial(port), { concurrency: 500 })
      const good = yield* Tcp.saying(port, "You ready?\nHello\n")
      yield* good.hears("Bring it!\nHello\n")
      expect(silent.filter((peer) => peer.isOpen()).length).toBeGreaterThan(0)
      const heard = yield* Effect.forEach(silent, (peer) => peer.ended, { concurrency: 500 })
      expect(new Set(heard)).toEqual(new Set([refusal]))
      yield* good.say("Goodbye\n")
      yield* good.hears("Bring it!\nHello\nGoodbye\n")
    }))

  it.live("has room for --max-connections, and gives the room of one that leaves to the next", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serve("--max-connections", "2")
      const [first, second] = [yield* Tcp.saying(port, "You ready?\n"), yield* Tcp.saying(port, "You ready?\n")]
      yield* Effect.all([first.hears("Bring it!\n"), second.hears("Bring it!\n")])
      const third = yield* Tcp.saying(port, "You ready?\n")
      expect(yield* third.ended).toBe(refusal)
      yield* first.end
      expect(yield* first.ended).toBe("Bring it!\n")
      const fourth = yield* Tcp.saying(port, "You ready?\nHello\n")
      yield* fourth.hears("Bring it!\nHello\n")
    }))

  it.live("has room for --max-pending handshakes, and gives the room of one that is done to the next", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serve("--max-pending", "1")
      const first = yield* Tcp.saying(port, "You re")
      const second = yield* Tcp.saying(port, "You ready?\n")
      expect(yield* second.ended).toBe(refusal)
      yield* first.say("ady?\n")
      yield* first.hears("Bring it!\n")
      const third = yield* Tcp.saying(port, "You ready?\nHello\n")
      yield* third.hears("Bring it!\nHello\n")
    }))

  it.live("on SIGTERM answers the request under way, ends the connection and exits 0", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve("--echo-delay", "500ms")
      const peer = yield* Tcp.saying(server.port, "You ready?\nHello\n")
      yield* peer.hears("Bring it!\n")
      yield* server.kill("SIGTERM")
      expect(yield* peer.ended).toBe("Bring it!\nHello\n")
      yield* peer.end
      expect(yield* server.exit).toBe(0)
      expect(server.stderr()).toBe("")
    }))

  it.live("on SIGTERM does not wait for a handshake that hangs", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve()
      const silent = yield* Tcp.saying(server.port, "You re")
      // Connections are accepted in order: when this one is served, the silent one is known too.
      const known = yield* Tcp.saying(server.port, "You ready?\n")
      yield* known.hears("Bring it!\n")
      yield* known.end
      yield* known.ended
      yield* server.kill("SIGTERM")
      const [code, ms] = yield* timed(server.exit)
      expect(code).toBe(0)
      expect(ms).toBeLessThan(3000)
      expect(yield* silent.ended).toBe(refusal)
    }))

  it.live("on SIGTERM waits for a request no longer than --drain-timeout", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve("--drain-timeout", "200ms", "--echo-delay", "60s")
      const peer = yield* Tcp.saying(server.port, "You ready?\nHello\n")
      yield* peer.hears("Bring it!\n")
      yield* server.kill("SIGTERM")
      const [code, ms] = yield* timed(server.exit)
      expect(code).toBe(0)
      expect(ms).toBeLessThan(2500)
      yield* peer.over
      expect(peer.heard()).toBe("Bring it!\n")
    }))

  it.live("on a second signal ends at once with 130", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve("--echo-delay", "60s", "--drain-timeout", "60s")
      const peer = yield* Tcp.saying(server.port, "You ready?\nHello\n")
      yield* peer.hears("Bring it!\n")
      const impatient = Effect.repeat(server.kill("SIGTERM"), Schedule.spaced("100 millis"))
      yield* Effect.raceFirst(impatient, server.exit)
      expect(yield* server.exit).toBe(130)
    }))

  it.live("on a port that is in use says so in one line and exits 1", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const server = yield* Cli.run("serve", "line", "--port", String(port))
      expect(yield* server.exit).toBe(1)
      expect(server.stderr()).toMatch(/^[^\n]*in use[^\n]*\n$/)
      expect(server.stdout()).toBe("")
    }))

  it.live("listens with --backlog, and takes none that is no backlog", () =>
    Effect.gen(function*() {
      const listen = vi.spyOn(NodeNet.Server.prototype, "listen")
      yield* Effect.addFinalizer(() => Effect.sync(() => listen.mockRestore()))
      const { port } = yield* Tcp.listen(() => {})
      const serve = (backlog: number) => Cli.here("serve", "line", "--port", String(port), "--backlog", String(backlog))
      const codes = yield* Effect.forEach([0, 1, 65_535, 65_536], (backlog) =>
        Effect.map(serve(backlog), ({ code }) => code))
      // The port is in use.
      expect(codes).toEqual([64, 1, 1, 64])
      const backlogs = listen.mock.calls.flatMap(([to]) =>
        typeof to === "object" && to !== null && "backlog" in to ? [to.backlog] : []
      )
      expect(backlogs).toEqual([1, 65_535])
    }))
})
