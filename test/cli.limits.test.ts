/**
 * How much the servers of the command take, and who comes in, by flags and by a file that is read again.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import * as LimitsFile from "../src/cli/limitsFile.ts"
import * as Cli from "./support/cli.ts"
import { directory } from "./support/directory.ts"
import * as Tcp from "./support/tcp.ts"

const refusal = "No! Go away!\n"

describe("a file of limits", () => {
  it("says each of them as its flag does", () => {
    const said = LimitsFile.parse(JSON.stringify({
      "max-connections": 0,
      "max-pending": 7,
      "handshake-timeout": "2s",
      "write-timeout": "1m",
      "admit-per-address": 1,
      "admit-rate": "50/10s",
      "admit-failures": "5/m",
      "admit-pass": ["10.0.0.0/8"]
    }))
    expect(said).toEqual(Result.succeed({
      maxConnections: 0,
      maxPending: 7,
      handshakeTimeout: Duration.seconds(2),
      writeTimeout: Option.some(Duration.minutes(1)),
      admitPerAddress: Option.some(1),
      admitRate: Option.some({ limit: 50, window: Duration.seconds(10) }),
      admitFailures: Option.some({ limit: 5, window: Duration.minutes(1) }),
      admitPass: [Result.getOrThrow(IpNetwork.fromString("10.0.0.0/8"))]
    }))
    expect(LimitsFile.parse("{}")).toEqual(Result.succeed({}))
  })

  it.each([
    ["{", "it is no JSON"],
    ["[]", "it has to look like {\"max-connections\": 1000}"],
    ["{\"port\": 1}", "there is no limit port; there are max-connections, max-pending, handshake-timeout, "],
    ["{\"toString\": 1}", "there is no limit toString; "],
    ["{\"max-connections\": -1}", "max-connections: a number of at least 0, not -1"],
    ["{\"max-connections\": \"7\"}", "max-connections: a number of at least 0, not \"7\""],
    ["{\"admit-per-address\": 0}", "admit-per-address: a number of at least 1, not 0"],
    ["{\"handshake-timeout\": \"soon\"}", "handshake-timeout: a duration such as 500ms, 10s or 2m, not \"soon\""],
    ["{\"admit-failures\": \"5\"}", "admit-failures: a rate such as 10/s or 50/10s, not \"5\""],
    [
      "{\"admit-pass\": [\"a\"]}",
      "admit-pass: a list, each of it a network such as 10.0.0.0/8 or fd00::/8, not [\"a\"]"
    ]
  ])("with %s in it is told to be wrong", (content, why) => {
    const said = LimitsFile.parse(content)
    expect(Result.isFailure(said) && said.failure.slice(0, why.length)).toBe(why)
  })
})

/** A connection of the line protocol, and what it has heard at first. */
const greeting = (port: number, hears: string) =>
  Effect.tap(Tcp.saying(port, "You ready?\n"), (peer) => peer.hears(hears))

describe("serve --limits", () => {
  it.live("goes before the flags, and is read again on SIGHUP, which touches nobody who is there", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "limits.json")
      const say = (limits: unknown) => Effect.sync(() => writeFileSync(path, JSON.stringify(limits)))
      const readAgain = Effect.sync(() => process.emit("SIGHUP"))
      yield* say({ "max-connections": 1 })
      const server = yield* Cli.serveHere("line", "--port", "0", "--max-connections", "9", "--limits", path)
      const first = yield* greeting(server.port, "Bring it!\n")
      yield* greeting(server.port, refusal)

      yield* say({ "admit-per-address": 2, "admit-failures": "1/1m" })
      yield* readAgain
      yield* server.says("limits read again\n")
      yield* greeting(server.port, "Bring it!\n")
      // Who came before is counted as nobody's.
      yield* greeting(server.port, "Bring it!\n")
      yield* greeting(server.port, refusal)

      yield* say({ "max-connections": "many" })
      yield* readAgain
      yield* server.complains("the limits stay what they were\n")
      expect(server.stderr()).toBe(
        `cannot use ${path}: max-connections: a number of at least 0, not "many"\nthe limits stay what they were\n`
      )
      const another = yield* Tcp.saying(server.port, "You ready?\n")
      expect(yield* another.ended).not.toContain("Bring it!")
      yield* first.say("Hello\n")
      yield* first.hears("Bring it!\nHello\n")
    }))

  it.live("does not start with what is wrong, nor without the file", () =>
    Effect.gen(function*() {
      const path = join(yield* directory, "limits.json")
      const told = (...flags: ReadonlyArray<string>) =>
        Cli.here("serve", "line", "--port", "0", "--limits", path, ...flags)
      expect(yield* told()).toMatchObject({ code: 66, stderr: expect.stringContaining(`cannot read ${path}: `) })
      writeFileSync(path, "{\"max-pending\": 1}")
      expect(yield* told("--workers", "2")).toEqual({
        code: 66,
        stdout: "",
        stderr: `cannot use ${path}: max-pending 1 is too little for 2 workers: each needs a part of it\n`
      })
    }))
})

describe("serve --admit-failures", () => {
  it.live("refuses an address whose handshakes have failed by its misconduct, once it may not fail any more", () =>
    Effect.gen(function*() {
      const { port } = yield* Cli.serveHere("line", "--port", "0", "--admit-failures", "2/1m")
      for (let n = 0; n < 2; n++) {
        const wrong = yield* Tcp.saying(port, "Hm?\n")
        expect(yield* wrong.ended).toBe(refusal)
        if (n === 0) yield* greeting(port, "Bring it!\n")
      }
      yield* greeting(port, refusal)
    }))
})
