import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import * as Transcript from "../src/Transcript.ts"
import * as Cli from "./support/cli.ts"
import * as Processes from "./support/processes.ts"
import * as Tcp from "./support/tcp.ts"

const refusal = "No! Go away!\n"

/** Resident memory in MB, where the system tells. */
const memory = (pid: number): Option.Option<number> => {
  if (process.platform !== "linux") return Option.none()
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
  return Option.map(Option.fromNullishOr(kilobytes), (match) => Number(match[1]) / 1024)
}

/** How many milliseconds this takes. */
const timed = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const start = performance.now()
  const result = yield* effect
  return [result, performance.now() - start] as const
})

// Each test has processes of its own, and most of its time goes into starting them.
describe.concurrent("demo", () => {
  it.live("plays its scenes and exits 0", () =>
    Effect.gen(function*() {
      const demo = yield* Cli.run("demo")
      expect(yield* demo.exit).toBe(0)
      const out = demo.stdout()
      for (const said of ["\"You ready?\"", "\"Bring it!\"", "\"No! Go away!\"", "Hello", "Goodbye", "├──", "◄──"]) {
        expect(out).toContain(said)
      }
      expect(out).toMatch(/^1\. A client is accepted[^]*^2\. [^]* turned away[^]*^4\. [^]*at capacity/m)
      expect(demo.stderr()).toBe("")
    }))
})

describe.concurrent("serve line", () => {
  it.live("tells where it listens in its first line", () =>
    Effect.gen(function*() {
      const server = yield* Cli.run("serve", "line", "--port", "0")
      expect(yield* server.firstLine).toMatch(/^listening on 127\.0\.0\.1:[1-9]\d*$/)
      expect(server.stderr()).toBe("")
    }))

  it.live("greets and echoes what came in one segment, after the half-close too", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serve()
      const peer = yield* Tcp.saying(port, "You ready?\nHello\nGoodbye\n")
      yield* peer.end
      expect(yield* peer.ended).toBe("Bring it!\nHello\nGoodbye\n")
    }))

  it.live("says the same to the same bytes, one at a time", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serve()
      const peer = yield* Tcp.dial(port)
      yield* peer.spell("You ready?\nHello\nGoodbye\n")
      yield* peer.end
      expect(yield* peer.ended).toBe("Bring it!\nHello\nGoodbye\n")
    }))

  it.live("turns away a greeting that ends with \\r\\n", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serve()
      const peer = yield* Tcp.saying(port, "You ready?\r\n")
      expect(yield* peer.ended).toBe(refusal)
    }))

  it.live("turns away a line without end, in little memory, so that its sender can hear it", () =>
    Effect.gen(function*() {
      const { pid, port } = yield* Cli.serve()
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

  it.live("keeps nothing of what a peer says that is turned away", () =>
    Effect.gen(function*() {
      const { pid, port } = yield* Cli.serve()
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

  it.live("on SIGINT with nobody there exits 0 at once", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve()
      yield* server.kill("SIGINT")
      const [code, ms] = yield* timed(server.exit)
      expect(code).toBe(0)
      expect(ms).toBeLessThan(2000)
      expect(server.stdout()).toBe(`listening on 127.0.0.1:${server.port}\n`)
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

  it.live("on a port that is in use says so in one line and exits 1", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const server = yield* Cli.run("serve", "line", "--port", String(port))
      expect(yield* server.exit).toBe(1)
      expect(server.stderr()).toMatch(/^[^\n]*in use[^\n]*\n$/)
      expect(server.stdout()).toBe("")
    }))
})

/** `serve line` with two workers, and their processes. */
const serveByTwo = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const server = yield* Cli.serve("--workers", "2", ...args)
  const workers = Processes.childrenOf(server.pid)
  expect(workers.length).toBe(2)
  return { ...server, workers }
})

const greeting = (port: number) => Effect.tap(Tcp.saying(port, "You ready?\n"), (peer) => peer.hears("Bring it!\n"))

/** Asks again until the answer is this; nothing tells us when that is. */
const eventually = <A, E, R>(ask: Effect.Effect<A, E, R>, holds: (answer: A) => boolean) =>
  Effect.timeout(Effect.repeat(ask, { schedule: Schedule.spaced("50 millis"), until: holds }), "8 seconds")

/** A connection at each of two workers: they are given out in turn. */
const greetBoth = (port: number) => Effect.all([greeting(port), greeting(port)])

// Three processes each, on as many cores as there are: one after the other.
describe("serve line --workers", () => {
  it.live("is one process without it", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve()
      expect(Processes.childrenOf(server.pid)).toEqual([])
    }))

  it.live("serves with all workers, says where it listens once, and leaves none of them behind", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo()
      for (const peer of yield* greetBoth(server.port)) {
        yield* peer.say("Hello\n")
        yield* peer.hears("Bring it!\nHello\n")
        yield* peer.end
      }
      yield* server.kill("SIGTERM")
      expect(yield* server.exit).toBe(0)
      expect(server.stdout()).toBe(`listening on 127.0.0.1:${server.port}\n`)
      expect(server.stderr()).toBe("")
      expect(server.workers.filter(Processes.isAlive)).toEqual([])
    }))

  it.live("replaces a worker that is killed; the other one serves on", () =>
    Effect.gen(function*() {
      // Each has room for one: while the other one is busy, only a new one has any.
      const { port, workers } = yield* serveByTwo("--max-connections", "2")
      const peers = yield* greetBoth(port)
      process.kill(workers[0], "SIGKILL")
      yield* Effect.raceFirst(peers[0].over, peers[1].over)
      const left = peers.filter((peer) => peer.isOpen())
      expect(left.length).toBe(1)
      yield* left[0].say("Hello\n")
      yield* left[0].hears("Bring it!\nHello\n")
      const heard = Effect.scoped(Effect.gen(function*() {
        const peer = yield* Tcp.saying(port, "You ready?\n")
        yield* peer.end
        return yield* peer.ended
      }))
      yield* eventually(Effect.orElseSucceed(heard, () => ""), (said) => said === "Bring it!\n")
      yield* left[0].say("Goodbye\n")
      yield* left[0].hears("Bring it!\nHello\nGoodbye\n")
    }))

  it.live("replaces a worker that is told to stop, and lets its requests be answered", () =>
    Effect.gen(function*() {
      const { pid, port, workers } = yield* serveByTwo("--echo-delay", "500ms")
      const peers = yield* greetBoth(port)
      for (const peer of peers) yield* peer.say("Hello\n")
      process.kill(workers[0], "SIGTERM")
      yield* Effect.raceFirst(peers[0].over, peers[1].over)
      for (const peer of peers) yield* peer.hears("Bring it!\nHello\n")
      expect(peers.filter((peer) => peer.isOpen()).length).toBe(1)
      yield* eventually(
        Effect.sync(() => Processes.childrenOf(pid)),
        (children) => children.length === 2 && !children.includes(workers[0])
      )
    }))

  it.live("with --balance shared whoever is free takes a connection", () =>
    Effect.gen(function*() {
      const { port, workers } = yield* serveByTwo("--balance", "shared")
      // In turn, every second connection would be given to this one.
      process.kill(workers[0], "SIGSTOP")
      yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(workers[0], "SIGCONT")))
      for (let i = 0; i < 4; i++) yield* (yield* Tcp.saying(port, "You ready?\nHello\n")).hears("Bring it!\nHello\n")
    }))

  it.live("has room for --max-connections in all workers together", () =>
    Effect.gen(function*() {
      const { port } = yield* serveByTwo("--max-connections", "4")
      const inside = [...yield* greetBoth(port), ...yield* greetBoth(port)]
      const fifth = yield* Tcp.saying(port, "You ready?\n")
      expect(yield* fifth.ended).toBe(refusal)
      expect(inside.every((peer) => peer.isOpen())).toBe(true)
    }))

  it.live("has room for --max-pending handshakes in all workers together", () =>
    Effect.gen(function*() {
      const { port } = yield* serveByTwo("--max-pending", "2")
      const inside = [yield* Tcp.saying(port, "You re"), yield* Tcp.saying(port, "You re")]
      const third = yield* Tcp.saying(port, "You ready?\n")
      expect(yield* third.ended).toBe(refusal)
      for (const peer of inside) {
        yield* peer.say("ady?\n")
        yield* peer.hears("Bring it!\n")
      }
    }))

  it.live("on SIGTERM answers the requests under way in all workers, and exits 0", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo("--echo-delay", "500ms")
      const peers = yield* greetBoth(server.port)
      for (const peer of peers) yield* peer.say("Hello\n")
      yield* server.kill("SIGTERM")
      for (const peer of peers) {
        expect(yield* peer.ended).toBe("Bring it!\nHello\n")
        yield* peer.end
      }
      expect(yield* server.exit).toBe(0)
      expect(server.stderr()).toBe("")
    }))

  it.live("on Ctrl-C, which all of its processes hear, does the same", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo("--echo-delay", "500ms")
      const peers = yield* greetBoth(server.port)
      for (const peer of peers) yield* peer.say("Hello\n")
      // The workers first: their end must not look like a death.
      for (const pid of [...server.workers, server.pid]) process.kill(pid, "SIGINT")
      for (const peer of peers) {
        expect(yield* peer.ended).toBe("Bring it!\nHello\n")
        yield* peer.end
      }
      expect(yield* server.exit).toBe(0)
      expect(server.stdout()).toBe(`listening on 127.0.0.1:${server.port}\n`)
      expect(server.stderr()).toBe("")
    }))

  it.live("on SIGTERM waits for requests no longer than --drain-timeout", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo("--echo-delay", "60s", "--drain-timeout", "300ms")
      const peers = yield* greetBoth(server.port)
      for (const peer of peers) yield* peer.say("Hello\n")
      yield* server.kill("SIGTERM")
      const [code, ms] = yield* timed(server.exit)
      expect(code).toBe(0)
      expect(ms).toBeLessThan(2500)
      expect(server.workers.filter(Processes.isAlive)).toEqual([])
    }))

  it.live("kills a worker that does not end within --drain-timeout and two seconds", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo("--drain-timeout", "100ms")
      // It hears nothing any more.
      process.kill(server.workers[0], "SIGSTOP")
      yield* server.kill("SIGTERM")
      const [code, ms] = yield* timed(server.exit)
      expect(code).toBe(0)
      expect(ms).toBeGreaterThan(2000)
      expect(server.workers.filter(Processes.isAlive)).toEqual([])
    }))

  it.live("on a second signal ends at once with 130", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo("--echo-delay", "60s", "--drain-timeout", "60s")
      const peers = yield* greetBoth(server.port)
      for (const peer of peers) yield* peer.say("Hello\n")
      const impatient = Effect.repeat(server.kill("SIGINT"), Schedule.spaced("100 millis"))
      yield* Effect.raceFirst(impatient, server.exit)
      expect(yield* server.exit).toBe(130)
      expect(server.workers.filter(Processes.isAlive)).toEqual([])
    }))

  it.live("leaves no worker behind where it is killed itself", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo()
      yield* server.kill("SIGKILL")
      // It is over when nobody holds its standard output any more.
      expect(yield* server.exit).toBe("SIGKILL")
      expect(server.workers.filter(Processes.isAlive)).toEqual([])
    }))

  it.live("on a port that is in use says so once and exits 1", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const server = yield* Cli.run("serve", "line", "--port", String(port), "--workers", "2")
      expect(yield* server.exit).toBe(1)
      expect(server.stderr()).toBe(`cannot listen on 127.0.0.1:${port}: the address is in use\n`)
      expect(server.stdout()).toBe("")
    }))

  it.live("gives up when a worker dies again and again, says so in one line and exits 1", () =>
    Effect.gen(function*() {
      const server = yield* serveByTwo()
      const killing = Effect.sync(() => {
        // A worker may have ended since it was found.
        for (const pid of Processes.childrenOf(server.pid)) Result.try(() => process.kill(pid, "SIGKILL"))
      })
      yield* Effect.repeat(killing, {
        schedule: Schedule.spaced("50 millis"),
        until: () => !Processes.isAlive(server.pid)
      })
      expect(yield* server.exit).toBe(1)
      expect(server.stderr()).toMatch(/^worker [12] has died [^\n]* \(by SIGKILL\), as have those before it\n$/)
      expect(Processes.childrenOf(server.pid)).toEqual([])
    }))

  it.live("takes auto for a number", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serve("--workers", "auto")
      const cores = availableParallelism()
      expect(Processes.childrenOf(server.pid).length).toBe(cores === 1 ? 0 : cores)
    }))

  const misuse: Record<string, ReadonlyArray<string>> = {
    "no worker": ["--workers", "0"],
    "what is no number": ["--workers", "two"],
    "fewer connections than workers": ["--workers", "3", "--max-connections", "2"],
    "fewer handshakes than workers": ["--workers", "3", "--max-pending", "2"]
  }
  for (const [what, args] of Object.entries(misuse)) {
    it.live(`exits 64 for ${what}, and says what is wrong on stderr`, () =>
      Effect.gen(function*() {
        const server = yield* Cli.run("serve", "line", "--port", "0", ...args)
        expect(yield* server.exit).toBe(64)
        expect(server.stderr()).toContain(args.at(-1))
      }))
  }
})

const probe = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const process = yield* Cli.run("probe", ...args)
  const code = yield* process.exit
  return { code, stdout: process.stdout(), stderr: process.stderr() }
})

/** Probes a peer that does this as soon as somebody comes. */
const probing = (onPeer: (peer: Tcp.Peer) => Effect.Effect<unknown, unknown>, ...args: ReadonlyArray<string>) =>
  Effect.flatMap(
    Tcp.listen((peer) => Effect.runFork(onPeer(peer))),
    ({ port }) => Effect.map(probe(`line://127.0.0.1:${port}`, ...args), (result) => ({ ...result, port }))
  )

const greeted = (answer: string) => (peer: Tcp.Peer) =>
  Effect.andThen(peer.hears("You ready?\n"), Effect.andThen(peer.say(answer), peer.end))

/** A file that is not there yet, in a directory that goes with the test. */
const scratch = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-handshake-"))),
    (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
  ),
  (directory) => join(directory, "session.txt")
)

const stored = (file: string) => Result.getOrThrow(Transcript.parse(readFileSync(file, "utf8")))

const said = (transcript: Transcript.Transcript) =>
  transcript.map((entry) =>
    `${entry.direction} ${entry.direction === "note" ? entry.frame : new TextDecoder().decode(entry.bytes)}`
  )

describe.concurrent("probe", () => {
  it.live("draws a peer that is ready, and exits 0", () =>
    Effect.gen(function*() {
      const { code, port, stderr, stdout } = yield* probing(greeted("Bring it!\n"))
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      const lines = stdout.trimEnd().split("\n")
      expect(lines[0]).toMatch(/^client +server$/)
      expect(stdout).toMatch(/│ "You ready\?" +│\n +├─+►│[^]*│ +"Bring it!" │\n +│◄─+┤/)
      expect(lines.at(-1)).toBe(`ready: line at 127.0.0.1:${port}`)
    }))

  it.live("with --json prints one object that has both frames in order", () =>
    Effect.gen(function*() {
      const { code, port, stdout } = yield* probing(greeted("Bring it!\n"), "--json")
      expect(code).toBe(0)
      expect(stdout.trimEnd()).not.toContain("\n")
      const report: unknown = JSON.parse(stdout)
      expect(report).toEqual({
        protocol: "line",
        outcome: "ready",
        reason: null,
        steps: [
          { atMs: expect.any(Number), direction: "sent", frame: "\"You ready?\"" },
          { atMs: expect.any(Number), direction: "received", frame: "\"Bring it!\"" }
        ],
        peer: `127.0.0.1:${port}`,
        tls: null,
        negotiated: {}
      })
    }))

  it.live("exits 2 where the peer says no, and names the step", () =>
    Effect.gen(function*() {
      const { code, port, stdout } = yield* probing(greeted(refusal))
      expect(code).toBe(2)
      expect(stdout.trimEnd().split("\n").at(-1)).toMatch(
        new RegExp(`^rejected: line at 127\\.0\\.0\\.1:${port}, step expect "Bring it!": rejected by the peer`)
      )
    }))

  it.live("with --json says why it was rejected", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* probing(greeted(refusal), "--json")
      expect(code).toBe(2)
      expect(JSON.parse(stdout)).toMatchObject({
        outcome: "rejected",
        reason: { tag: "Rejected", step: "expect \"Bring it!\"", fault: "peer", retryable: true },
        steps: [{ direction: "sent" }, { direction: "received", frame: "\"No! Go away!\"" }]
      })
    }))

  const invalid: Record<string, [(peer: Tcp.Peer) => Effect.Effect<unknown>, tag: string]> = {
    "says something else": [greeted("What?\n"), "InvalidGreeting"],
    "closes at once": [(peer) => peer.end, "UnexpectedEnd"],
    "closes in the middle of a line": [greeted("Bring"), "UnexpectedEnd"],
    "says what is not UTF-8": [
      (peer) => Effect.andThen(peer.hears("You ready?\n"), peer.say(Uint8Array.of(0xff, 0xfe, 0x0a))),
      "MalformedFrame"
    ],
    "says a line without end": [(peer) => peer.say("x".repeat(1024 * 1024)), "FrameTooLarge"],
    "resets the connection": [
      (peer) => Effect.andThen(peer.hears("You ready?\n"), peer.reset),
      "ConnectionFailed"
    ]
  }
  for (const [what, [onPeer, tag]] of Object.entries(invalid)) {
    it.live(`exits 3 where the peer ${what}`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* probing(onPeer, "--json")
        expect(JSON.parse(stdout)).toMatchObject({ outcome: "invalid", reason: { tag } })
        expect({ code, stderr }).toEqual({ code: 3, stderr: "" })
      }))
  }

  it.live("exits 4 where the peer is silent until --timeout", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* probing(() => Effect.void, "--timeout", "300ms", "--json")
      expect(code).toBe(4)
      expect(JSON.parse(stdout)).toMatchObject({
        outcome: "timeout",
        reason: { tag: "Timeout", step: "expect \"Bring it!\"" },
        steps: [{ direction: "sent" }]
      })
    }))

  it.live("exits 5 where nobody listens", () =>
    Effect.gen(function*() {
      const port = yield* Tcp.deadPort
      const { code, stderr, stdout } = yield* probe(`line://127.0.0.1:${port}`, "--json")
      expect({ code, stderr }).toEqual({ code: 5, stderr: "" })
      expect(JSON.parse(stdout)).toMatchObject({
        outcome: "unreachable",
        reason: { tag: "ConnectionFailed", step: "connect", fault: "network", retryable: true },
        steps: [],
        peer: `127.0.0.1:${port}`
      })
    }))

  it.live("with --record keeps the session, and what came of it", () =>
    Effect.gen(function*() {
      const file = yield* scratch
      const { code, port, stderr, stdout } = yield* probing(greeted("Bring it!\n"), "--json", "--record", file)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(Object.keys(JSON.parse(stdout).steps[0])).toEqual(["atMs", "direction", "frame"])
      const { peer, self, transcript } = stored(file)
      expect({ self, peer }).toEqual({ self: "client", peer: "server" })
      expect(said(transcript)).toEqual([
        `note connected to 127.0.0.1:${port}`,
        "sent You ready?\n",
        "received Bring it!\n",
        `note ready: line at 127.0.0.1:${port}`
      ])
    }))

  it.live("with --record keeps a session that has failed, up to its end", () =>
    Effect.gen(function*() {
      const file = yield* scratch
      const { code, port, stdout } = yield* probing((peer) => peer.end, "--record", file)
      expect(code).toBe(3)
      const { transcript } = stored(file)
      expect(said(transcript)).toEqual([
        `note connected to 127.0.0.1:${port}`,
        "sent You ready?\n",
        "note the peer closed the connection",
        `note ${stdout.trimEnd().split("\n").at(-1)}`
      ])
      expect(transcript[2]).toMatchObject({ end: { by: "peer", how: "closed" } })
    }))

  it.live("with --record keeps a session that was interrupted", () =>
    Effect.gen(function*() {
      const file = yield* scratch
      const greeting = yield* Deferred.make<void>()
      const { port } = yield* Tcp.listen((peer) =>
        Effect.runFork(Effect.andThen(peer.hears("You ready?\n"), Deferred.succeed(greeting, undefined)))
      )
      const process = yield* Cli.run("probe", `line://127.0.0.1:${port}`, "--record", file)
      yield* Deferred.await(greeting)
      yield* process.kill("SIGINT")
      expect(yield* process.exit).toBe(130)
      expect(said(stored(file).transcript).at(-1)).toBe("sent You ready?\n")
    }))

  it.live("exits 73 where the file of --record cannot be written, and says why on stderr", () =>
    Effect.gen(function*() {
      const file = join(yield* scratch, "no", "such", "directory")
      const { code, stderr, stdout } = yield* probing(greeted(refusal), "--json", "--record", file)
      expect(code).toBe(73)
      expect(JSON.parse(stdout)).toMatchObject({ outcome: "rejected" })
      expect(stderr).toMatch(/^cannot write [^\n]*: ENOENT[^\n]*\n$/)
      expect(stderr).toContain(file)
    }))

  const misuse: Record<string, ReadonlyArray<string>> = {
    "no URL": [],
    "an unknown scheme": ["http://127.0.0.1:1"],
    "an unknown flag": ["line://127.0.0.1:1", "--jsn"],
    "a timeout that is none": ["line://127.0.0.1:1", "--timeout", "soon"]
  }
  for (const [what, args] of Object.entries(misuse)) {
    it.live(`exits 64 for ${what}, and says what is wrong on stderr`, () =>
      Effect.gen(function*() {
        const { code, stderr } = yield* probe(...args)
        expect(code).toBe(64)
        expect(stderr).not.toBe("")
      }))
  }
})
