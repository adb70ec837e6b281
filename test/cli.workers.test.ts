import { describe, expect, it, layer as layered, type Vitest } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import * as NodeTls from "node:tls"
import * as Certificates from "./support/certificates/index.ts"
import * as Cli from "./support/cli.ts"
import { directory } from "./support/directory.ts"
import * as Processes from "./support/processes.ts"
import * as Tcp from "./support/tcp.ts"
import { timed } from "./support/timed.ts"

const refusal = "No! Go away!\n"

/** The same, and its workers. */
const withWorkers = Effect.fnUntraced(function*(serving: ReturnType<typeof Cli.serve>, count = 2) {
  const server = yield* serving
  const workers = Processes.childrenOf(server.pid)
  expect(workers.length).toBe(count)
  return { ...server, workers }
})

/** `serve line` with two workers. */
const serveByTwo = (...args: ReadonlyArray<string>) => withWorkers(Cli.serve("--workers", "2", ...args))

/** A server that tests share, one after the other; the last one ends it. */
class Shared extends Context.Service<Shared, Effect.Success<ReturnType<typeof serveByTwo>>>()("test/Shared") {}

/** Tests that share a server: to start its three processes takes more than all that is asked of them. */
const describeServer = (
  name: string,
  serving: ReturnType<typeof serveByTwo>,
  body: (it: Vitest.MethodsNonLive<Shared>) => void
): void => layered(Layer.effect(Shared, serving), { excludeTestServices: true, timeout: "40 seconds" })(name, body)

const greeting = (port: number) => Effect.tap(Tcp.saying(port, "You ready?\n"), (peer) => peer.hears("Bring it!\n"))

/** Asks again until the answer is this; nothing tells us when that is. */
const eventually = <A, E, R>(ask: Effect.Effect<A, E, R>, holds: (answer: A) => boolean) =>
  Effect.timeout(Effect.repeat(ask, { schedule: Schedule.spaced("50 millis"), until: holds }), "8 seconds")

/** A connection at each of two workers: they are given out in turn. */
const greetBoth = (port: number) => Effect.all([greeting(port), greeting(port)])

/** What a server inside TLS answers to a greeting. */
const greetedInside = (port: number) =>
  Effect.callback<string>((resume) => {
    const socket = NodeTls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      socket.write("You ready?\n")
    })
    socket.once("data", (said) => resume(Effect.succeed(String(said))))
    socket.on("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

/** Who a server proves to be, for anybody. */
const subject = (port: number) =>
  Effect.callback<string | undefined>((resume) => {
    const socket = NodeTls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
      resume(Effect.succeed(socket.getPeerX509Certificate()?.subject))
      socket.destroy()
    })
    socket.on("error", (error) => resume(Effect.die(error)))
    return Effect.sync(() => socket.destroy())
  })

/** Leaves, when all has been said. */
const leave = (peer: Tcp.Peer) => Effect.andThen(peer.end, peer.ended)

// Three processes each, on as many cores as there are: one after the other.
describeServer(
  "serve line --workers, from its sources",
  // For each worker is started from them too.
  withWorkers(Cli.serveSources("--workers", "2", "--echo-delay", "500ms")),
  (it) => {
    it.effect("serves with all workers", () =>
      Effect.gen(function*() {
        const peers = yield* greetBoth((yield* Shared).port)
        for (const peer of peers) yield* peer.say("Hello\n")
        for (const peer of peers) yield* peer.hears("Bring it!\nHello\n")
        yield* Effect.all(peers.map(leave))
      }))

    it.effect("on Ctrl-C, which all of its processes hear, answers the requests under way, exits 0 and leaves none behind", () =>
      Effect.gen(function*() {
        const server = yield* Shared
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
        expect(server.workers.filter(Processes.isAlive)).toEqual([])
      }))
  }
)

describeServer(
  "serve line --workers with limits",
  serveByTwo("--max-connections", "4", "--max-pending", "2", "--echo-delay", "500ms"),
  (it) => {
    it.effect("has room for --max-pending handshakes in all workers together", () =>
      Effect.gen(function*() {
        const { port } = yield* Shared
        const inside = [yield* Tcp.saying(port, "You re"), yield* Tcp.saying(port, "You re")]
        const third = yield* Tcp.saying(port, "You ready?\n")
        expect(yield* third.ended).toBe(refusal)
        for (const peer of inside) {
          yield* peer.say("ady?\n")
          yield* peer.hears("Bring it!\n")
          yield* leave(peer)
        }
      }))

    it.effect("has room for --max-connections in all workers together", () =>
      Effect.gen(function*() {
        const { port } = yield* Shared
        const inside = [...yield* greetBoth(port), ...yield* greetBoth(port)]
        const fifth = yield* Tcp.saying(port, "You ready?\n")
        expect(yield* fifth.ended).toBe(refusal)
        expect(inside.every((peer) => peer.isOpen())).toBe(true)
        yield* Effect.all(inside.map(leave))
      }))

    it.effect("on SIGTERM answers the requests under way in all workers, and exits 0", () =>
      Effect.gen(function*() {
        const server = yield* Shared
        const peers = yield* greetBoth(server.port)
        for (const peer of peers) yield* peer.say("Hello\n")
        yield* server.kill("SIGTERM")
        for (const peer of peers) {
          expect(yield* peer.ended).toBe("Bring it!\nHello\n")
          yield* peer.end
        }
        expect(yield* server.exit).toBe(0)
        // Where it listens it has said once, and not for each worker.
        expect(server.stdout()).toBe(`listening on 127.0.0.1:${server.port}\n`)
        expect(server.stderr()).toBe("")
        expect(server.workers.filter(Processes.isAlive)).toEqual([])
      }))
  }
)

// Each has room for one: while the other one is busy, only a new one has any.
describeServer("serve line --workers", serveByTwo("--max-connections", "2"), (it) => {
  it.effect("replaces a worker that is killed; the other one serves on", () =>
    Effect.gen(function*() {
      const { port, workers } = yield* Shared
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
      // What is handed to a worker while it dies may be lost.
      const soon = Effect.timeout(heard, "1 second")
      yield* eventually(Effect.orElseSucceed(soon, () => ""), (said) => said === "Bring it!\n")
      yield* left[0].say("Goodbye\n")
      yield* left[0].hears("Bring it!\nHello\nGoodbye\n")
    }))

  it.effect("gives up when a worker dies again and again, says so in one line and exits 1", () =>
    Effect.gen(function*() {
      const server = yield* Shared
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
})

describeServer("serve line --workers", serveByTwo("--balance", "shared", "--drain-timeout", "100ms"), (it) => {
  it.effect("with --balance shared whoever is free takes a connection", () =>
    Effect.gen(function*() {
      const { port, workers } = yield* Shared
      // In turn, every second connection would be given to this one.
      process.kill(workers[0], "SIGSTOP")
      yield* Effect.addFinalizer(() => Effect.sync(() => process.kill(workers[0], "SIGCONT")))
      for (let i = 0; i < 4; i++) yield* (yield* Tcp.saying(port, "You ready?\nHello\n")).hears("Bring it!\nHello\n")
    }))

  it.effect("kills a worker that does not end within --drain-timeout and two seconds, says so and exits 1", () =>
    Effect.gen(function*() {
      const server = yield* Shared
      // It hears nothing any more.
      process.kill(server.workers[0], "SIGSTOP")
      yield* server.kill("SIGTERM")
      const [code, ms] = yield* timed(server.exit)
      expect(code).toBe(1)
      expect(server.stdout()).toContain(
        `(process ${server.workers[0]}) was killed: it had not ended 2s 100ms after SIGTERM`
      )
      expect(ms).toBeGreaterThan(2000)
      expect(server.workers.filter(Processes.isAlive)).toEqual([])
    }))
})

describeServer("serve line --workers", serveByTwo("--echo-delay", "500ms"), (it) => {
  it.effect("replaces a worker that is told to stop, and lets its requests be answered", () =>
    Effect.gen(function*() {
      const { pid, port, workers } = yield* Shared
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

  it.effect("leaves no worker behind where it is killed itself", () =>
    Effect.gen(function*() {
      const server = yield* Shared
      const workers = Processes.childrenOf(server.pid)
      expect(workers.length).toBe(2)
      yield* server.kill("SIGKILL")
      // It is over when nobody holds its standard output any more.
      expect(yield* server.exit).toBe("SIGKILL")
      expect(workers.filter(Processes.isAlive)).toEqual([])
    }))
})

const cores = availableParallelism()

describeServer(
  "serve line --workers auto",
  // On one core that is one process alone.
  withWorkers(
    Cli.serve("--workers", "auto", "--echo-delay", "60s", "--drain-timeout", "60s"),
    cores === 1 ? 0 : cores
  ),
  (it) => {
    it.effect("has a worker for each core", () =>
      Effect.gen(function*() {
        expect((yield* Shared).workers.length).toBe(cores === 1 ? 0 : cores)
      }))

    it.effect("on a second signal ends at once with 130", () =>
      Effect.gen(function*() {
        const server = yield* Shared
        const peers = yield* greetBoth(server.port)
        for (const peer of peers) yield* peer.say("Hello\n")
        const impatient = Effect.repeat(server.kill("SIGINT"), Schedule.spaced("100 millis"))
        yield* Effect.raceFirst(impatient, server.exit)
        expect(yield* server.exit).toBe(130)
        expect(server.workers.filter(Processes.isAlive)).toEqual([])
      }))
  }
)

describe("serve line --workers", () => {
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

  it.live("on a port that is in use says so once and exits 1", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen(() => {})
      const server = yield* Cli.run("serve", "line", "--port", String(port), "--workers", "2")
      expect(yield* server.exit).toBe(1)
      expect(server.stderr()).toBe(`cannot listen on 127.0.0.1:${port}: the address is in use\n`)
      expect(server.stdout()).toBe("")
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
        const { code, stderr } = yield* Cli.here("serve", "line", "--port", "0", ...args)
        expect(code).toBe(64)
        expect(stderr).toContain(args.at(-1))
      }))
  }
})

describe("serve tls-line --workers", () => {
  it.live("says once what is wrong with its files, and on SIGHUP all workers read them again", () =>
    Effect.gen(function*() {
      const folder = yield* directory
      const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
      const install = (certificate: Certificates.Certificate) => {
        writeFileSync(cert, certificate.cert)
        writeFileSync(key, Redacted.value(certificate.key))
      }
      install(Certificates.expired)
      const limits = join(folder, "limits.json")
      writeFileSync(limits, "{}")
      const files = ["--tls-cert", cert, "--tls-key", key, "--limits", limits]
      const server = yield* withWorkers(Cli.serveIn({}, "tls-line", "--port", "0", "--workers", "2", ...files))
      // They are given out in turn.
      const subjects = Effect.all([subject(server.port), subject(server.port)])
      expect(yield* subjects).toEqual(["CN=localhost", "CN=localhost"])
      expect(server.stderr()).toMatch(/^[^\n]* has expired at [^\n]*\n$/)
      install(Certificates.replacement)
      writeFileSync(limits, "{\"max-connections\": 0}")
      yield* server.kill("SIGHUP")
      yield* eventually(subjects, (all) => all.every((subject) => subject === "CN=replacement"))
      const greeted = Effect.all([greetedInside(server.port), greetedInside(server.port)])
      yield* eventually(greeted, (all) => all.every((said) => said === refusal))
      yield* server.kill("SIGTERM")
      expect(yield* server.exit).toBe(0)
      const lines = server.stdout().split("\n")
      expect(lines[0]).toBe(`listening on 127.0.0.1:${server.port}`)
      expect(lines.slice(1).sort()).toEqual(["", "certificate read again", "limits read again"])
    }))
})
