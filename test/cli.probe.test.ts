import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { splitZone } from "../src/cli/probing.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Cli from "./support/cli.ts"
import * as Tcp from "./support/tcp.ts"
import { tagsOf } from "./support/xml.ts"

const refusal = "No! Go away!\n"

const here = (...args: ReadonlyArray<string>) => Cli.here("probe", ...args)

/** In a process of its own, once for each exit code. */
const apart = (...args: ReadonlyArray<string>) => Cli.apart("probe", ...args)

/** From its sources. */
const fromSources = (...args: ReadonlyArray<string>) => Cli.fromSources("probe", ...args)

/** Probes a peer that does this as soon as somebody comes. */
const probing = (
  probe: typeof here,
  onPeer: (peer: Tcp.Peer) => Effect.Effect<unknown, unknown>,
  ...args: ReadonlyArray<string>
) =>
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
      const { code, port, stderr, stdout } = yield* probing(fromSources, greeted("Bring it!\n"))
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      const lines = stdout.trimEnd().split("\n")
      expect(lines[0]).toMatch(/^client +server$/)
      expect(stdout).toMatch(/│ "You ready\?" +│\n +├─+►│[^]*│ +"Bring it!" │\n +│◄─+┤/)
      expect(lines.at(-1)).toBe(`ready: line at 127.0.0.1:${port}`)
    }))

  it.live("says all there is to say of a failure into a pipe, however much it is", () =>
    Effect.gen(function*() {
      // SETTINGS, and more pings than anybody needs.
      const pings = Buffer.concat([
        Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
        ...Array.from({ length: 30_000 }, () => Buffer.from("\0\0\x08\x06\0\0\0\0\0pingping"))
      ])
      const { port } = yield* Tcp.listen((peer) => Effect.runFork(Effect.ignore(peer.say(pings))))
      const { code, stdout } = yield* apart(`h2c://127.0.0.1:${port}`)
      expect(code).toBe(3)
      expect(stdout.length).toBeGreaterThan(300_000)
      expect(stdout).toMatch(/\ninvalid: h2c at [^\n]*\n$/)
    }))

  it.live("with --json prints one object that has both frames in order", () =>
    Effect.gen(function*() {
      const { code, port, stdout } = yield* probing(here, greeted("Bring it!\n"), "--json")
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
      const { code, port, stdout } = yield* probing(apart, greeted(refusal))
      expect(code).toBe(2)
      expect(stdout.trimEnd().split("\n").at(-1)).toMatch(
        new RegExp(`^rejected: line at 127\\.0\\.0\\.1:${port}, step answer: rejected by the peer`)
      )
    }))

  it.live("with --json says why it was rejected", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* probing(here, greeted(refusal), "--json")
      expect(code).toBe(2)
      expect(JSON.parse(stdout)).toMatchObject({
        outcome: "rejected",
        reason: { tag: "Rejected", step: "answer", fault: "peer", retryable: true },
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
        const { code, stderr, stdout } = yield* probing(here, onPeer, "--json")
        expect(JSON.parse(stdout)).toMatchObject({ outcome: "invalid", reason: { tag } })
        expect({ code, stderr }).toEqual({ code: 3, stderr: "" })
      }))
  }

  it.live("exits 4 where the peer is silent until --timeout", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* probing(apart, () => Effect.void, "--timeout", "300ms", "--json")
      expect(code).toBe(4)
      expect(JSON.parse(stdout)).toMatchObject({
        outcome: "timeout",
        reason: { tag: "Timeout", step: "answer" },
        steps: [{ direction: "sent" }]
      })
    }))

  it.live("exits 5 where nobody listens", () =>
    Effect.gen(function*() {
      const port = yield* Tcp.deadPort
      const { code, stderr, stdout } = yield* apart(`line://127.0.0.1:${port}`, "--json")
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
      const { code, port, stderr, stdout } = yield* probing(here, greeted("Bring it!\n"), "--json", "--record", file)
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
      const { code, port, stdout } = yield* probing(here, (peer) => peer.end, "--record", file)
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

  it.live("with --svg draws the session, and what came of it", () =>
    Effect.gen(function*() {
      const file = yield* scratch
      const { port } = yield* probing(here, greeted("Bring it!\n"), "--svg", file)
      const texts = tagsOf(readFileSync(file, "utf8")).filter(({ name }) => /^(?:title|text)$/.test(name))
      expect(texts.map(({ text }) => text.trim()).filter((text) => !text.endsWith(" ms"))).toEqual([
        `line at 127.0.0.1:${port}`,
        "client",
        "server",
        `connected to 127.0.0.1:${port}`,
        "\"You ready?\"",
        "\"Bring it!\"",
        `ready: line at 127.0.0.1:${port}`
      ])
    }))

  it.live("with --svg draws why it has failed at its end", () =>
    Effect.gen(function*() {
      const file = yield* scratch
      const { code, stdout } = yield* probing(here, greeted(refusal), "--svg", file)
      expect(code).toBe(2)
      const end = tagsOf(readFileSync(file, "utf8")).filter(({ attributes, name }) =>
        name === "text" && attributes.class === "bad"
      )
      expect(stdout).toContain(`\n${end.map(({ text }) => text.trim()).join(" ")}\n`)
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
      const { code, stderr, stdout } = yield* probing(apart, greeted(refusal), "--json", "--record", file)
      expect(code).toBe(73)
      expect(JSON.parse(stdout)).toMatchObject({ outcome: "rejected" })
      expect(stderr).toMatch(/^cannot write [^\n]*: ENOENT[^\n]*\n$/)
      expect(stderr).toContain(file)
    }))

  const misuse: Record<string, ReadonlyArray<string>> = {
    "no URL": [],
    "an unknown scheme": ["http://127.0.0.1:1"],
    "a zone that is empty": ["line://[fe80::1%]:1"],
    "a zone of what is no address": ["line://[example%eth0]:1"],
    "an unknown flag": ["line://127.0.0.1:1", "--jsn"],
    "a timeout that is none": ["line://127.0.0.1:1", "--timeout", "soon"]
  }
  for (const [what, args] of Object.entries(misuse)) {
    it.live(`exits 64 for ${what}, and says what is wrong on stderr`, () =>
      Effect.gen(function*() {
        const { code, stderr } = yield* here(...args)
        expect(code).toBe(64)
        expect(stderr).not.toBe("")
      }))
  }
})

it("probe takes a link-local address with its zone, as people write it and as RFC 6874 does", () => {
  const split = {
    "line://[fe80::1%eth0]:80": ["line://[fe80::1]:80", "%eth0"],
    "line://[fe80::1%25eth0]:80": ["line://[fe80::1]:80", "%eth0"],
    "postgres://ann:p%25@[fe80::1%25eth0]/shop": ["postgres://ann:p%25@[fe80::1]/shop", "%eth0"],
    "tls://[FE80::1%25a%2Db]": ["tls://[FE80::1]", "%a-b"],
    "tls://[fe80::1%25]": ["tls://[fe80::1]", "%25"],
    "tls://[fe80::1]": ["tls://[fe80::1]", ""],
    "tls://example.com/[fe80::1%25eth0]": ["tls://example.com/[fe80::1%25eth0]", ""]
  }
  expect(Object.fromEntries(Object.keys(split).map((url) => [url, splitZone(url)]))).toEqual(split)
})
