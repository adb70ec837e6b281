import { describe, expect, it } from "@effect/vitest"
import type * as Cause from "effect/Cause"
import { TerminalCapabilities } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Terminal from "effect/Terminal"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Ask from "../src/cli/ask.ts"
import * as Given from "../src/internal/dialogue/given.ts"
import * as Certificates from "./support/certificates/index.ts"
import * as Cli from "./support/cli.ts"
import { Gate } from "./support/gates.ts"
import * as Tcp from "./support/tcp.ts"

const module = fileURLToPath(new URL("support/gates.ts", import.meta.url))

const gate = `${module}#Gate`

const challenge = fileURLToPath(new URL("support/challenge.ts", import.meta.url))

/** A file in a directory that goes with the test. */
const file = (name: string, content: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-handshake-"))),
      (directory) => Effect.sync(() => rmSync(directory, { recursive: true }))
    ),
    (directory) => {
      const path = join(directory, name)
      writeFileSync(path, content)
      return path
    }
  )

/** A peer that answers each line with the same. */
const answering = (answer: string) =>
  Tcp.listen(({ socket }) => socket.on("error", () => {}).on("data", () => socket.write(answer)))

describe.concurrent("dialogue", () => {
  it.live("prints the states, or what --format says", () =>
    Effect.gen(function*() {
      const beginnings: Record<string, string> = {
        outline: "gate, from greeting\n",
        mermaid: "stateDiagram-v2\n",
        svg: "<svg ",
        markdown: "# gate\n",
        json: "{\n"
      }
      for (const [format, beginning] of Object.entries(beginnings)) {
        const { code, stderr, stdout } = yield* Cli.here("dialogue", gate, "--format", format)
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        expect(stdout.slice(0, beginning.length)).toBe(beginning)
      }
      expect((yield* Cli.here("dialogue", gate)).stdout).toContain("\nverdict: server speaks\n")
    }))

  it.live("compare exits 0 where a snapshot and the module understand each other, and 1 where two versions do not", () =>
    Effect.gen(function*() {
      const { stdout: snapshot } = yield* Cli.here("dialogue", gate, "--format", "json")
      const kept = yield* file("gate.json", snapshot)
      const same = yield* Cli.here("dialogue", "compare", kept, gate)
      expect({ ...same, stdout: "" }).toEqual({ code: 0, stderr: "", stdout: "" })
      const other = yield* Cli.here("dialogue", "compare", kept, `${module}#NewGate`)
      expect({ ...other, stdout: "" }).toEqual({ code: 1, stderr: "", stdout: "" })
      expect(other.stdout).toContain("Hello")
      expect(other.stdout).not.toBe(same.stdout)
    }))

  const unusable: Record<string, [name: string, content: string, says: RegExp]> = {
    "that throws": ["x.mjs", "throw new Error('nothing leads to the state b')", /: nothing leads to the state b\n$/],
    "that is no program": ["x.mjs", "const", /^cannot load .*x\.mjs: /],
    "without a dialogue": ["x.mjs", "export const x = 1", /x\.mjs exports no dialogue: /],
    "that is JSON and no snapshot": ["x.json", "{}", /^cannot use .*x\.json: this is no snapshot of a dialogue: /],
    "that is no JSON": ["x.json", "{", /^cannot use .*x\.json: /]
  }
  for (const [what, [name, content, says]] of Object.entries(unusable)) {
    it.live(`exits 66 for a module ${what}, and says so in one line`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* Cli.here("dialogue", yield* file(name, content))
        expect({ code, stdout }).toEqual({ code: 66, stdout: "" })
        expect(stderr).toMatch(says)
        expect(stderr).toMatch(/^[^\n]+\n$/)
      }))
  }

  it.live("exits 66 for a module that is not there", () =>
    Effect.gen(function*() {
      expect(yield* Cli.here("dialogue", "nowhere.ts")).toEqual({
        code: 66,
        stdout: "",
        stderr: "cannot load nowhere.ts: there is no such file\n"
      })
    }))

  it.live("exits 64 where it is not said which of several, or where there is none of that name", () =>
    Effect.gen(function*() {
      const any = yield* Cli.here("dialogue", module)
      expect(any).toMatchObject({ code: 64, stdout: "" })
      expect(any.stderr).toBe(
        `${module} exports several dialogues: Gate, NewGate; say which one, as in ${module}#Gate\n`
      )
      const none = yield* Cli.here("dialogue", `${module}#Door`)
      expect(none).toMatchObject({ code: 64, stdout: "" })
      expect(none.stderr).toBe(`${module} exports no dialogue Door; it exports Gate, NewGate\n`)
    }))
})

describe("serve MODULE, and those who talk to it", () => {
  it.live("is held to the dialogue by conform, and probed with it", () =>
    Effect.gen(function*() {
      const server = yield* Cli.serveHere(gate, "--port", "0", "--seed", "3", "--set", "Menu.items=7")
      const url = `tcp://127.0.0.1:${server.port}`

      // Nobody checks a key here: with this seed one of two is let in.
      const held = yield* Cli.here("conform", gate, url, "--seed", "5", "--json")
      expect({ ...held, stdout: "" }).toEqual({ code: 0, stderr: "", stdout: "" })
      expect(JSON.parse(held.stdout)).toMatchObject({
        protocol: "gate",
        peer: `127.0.0.1:${server.port}`,
        seed: 5,
        conforms: true,
        undue: { refused: 10, untried: 0 },
        failure: null
      })
      const { transitions } = JSON.parse(held.stdout) as { readonly transitions: ReadonlyArray<{ times: number }> }
      expect(transitions.filter(({ times }) => times > 0)).toHaveLength(5)

      const probed = yield* Cli.fromSharedSources(
        "probe",
        url,
        "--dialogue",
        gate,
        "--set",
        "Key.key=sesame",
        "--set",
        "Hello.user=ann",
        "--json"
      )
      const { outcome, protocol, steps } = JSON.parse(probed.stdout) as {
        readonly outcome: string
        readonly protocol: string
        readonly steps: ReadonlyArray<{ readonly frame: string }>
      }
      expect(protocol).toBe("gate")
      expect(["ready", "rejected"]).toContain(outcome)
      expect(probed.code).toBe(outcome === "ready" ? 0 : 2)
      expect(steps.slice(0, 3).map(({ frame }) => frame)).toEqual(["\"HELLO ann\"", "\"MENU 7\"", "<redacted>"])

      const lines = server.stdout().split("\n")
      expect(lines[1]).toBe("gate, drawn from the seed 3")
      expect(lines).toContain("#3  broken at greeting: due was Hello, came \"MENU 1\"")
      expect(lines).toContain("#13  greeting  client  Hello {\"user\":\"ann\"}")
      expect(lines).toContain("#13  key  client  Key {\"key\":\"<redacted>\"}")
    }))

  it.live("takes the flags of all servers: behind a proxy, with limits for the address of the header, and watched", () =>
    Effect.gen(function*() {
      const behind = ["--proxy", "required", "--proxy-trust", "127.0.0.0/8", "--admit-per-address", "1"]
      const server = yield* Cli.serveHere(gate, "--port", "0", ...behind, "--set", "Menu.items=7", "--watch")
      yield* server.complains("--watch needs a terminal: serving without it\n")
      const from = (address: string) =>
        Tcp.saying(server.port, `PROXY TCP4 ${address} 192.0.2.1 56324 443\r\nHELLO ann\n`)
      yield* Effect.flatMap(from("203.0.113.7"), (peer) => peer.hears("MENU 7\n"))
      yield* Effect.flatMap(from("203.0.113.8"), (peer) => peer.hears("MENU 7\n"))
      const { ended } = yield* from("203.0.113.7")
      expect(yield* ended).not.toContain("MENU")
      const direct = yield* Tcp.saying(server.port, "HELLO ann\n")
      expect(yield* direct.ended).not.toContain("MENU")
    }))

  it.live("prints no conversation over what --watch draws, and does not ask at a terminal that is drawn on", () =>
    Effect.gen(function*() {
      const animated = Effect.map(TerminalCapabilities.TerminalCapabilities, (now) => ({ ...now, canAnimate: true }))
      const server = yield* Effect.provideServiceEffect(
        Cli.serveHere(gate, "--port", "0", "--watch", "--set", "Menu.items=7"),
        TerminalCapabilities.TerminalCapabilities,
        animated
      )
      const peer = yield* Tcp.saying(server.port, "HELLO ann\n")
      yield* peer.hears("MENU 7\n")
      expect(server.stdout()).not.toContain("#1")
      expect(yield* Cli.here("serve", gate, "--port", "0", "--watch", "--ask")).toMatchObject({
        code: 64,
        stderr: "--watch and --ask each need the terminal: leave one of them out\n"
      })
    }))

  it.live("goes inside TLS, from the first byte or where the dialogue says so", () =>
    Effect.gen(function*() {
      const { rootFile, server: { certFile, keyFile } } = Certificates
      const withTls = ["--port", "0", "--seed", "3", "--tls-cert", certFile, "--tls-key", keyFile]
      const inside = yield* Cli.serveHere(gate, ...withTls)
      const url = `tls://localhost:${inside.port}`
      const few = ["--seed", "5", "--runs", "6"]
      const held = yield* Cli.here("conform", gate, url, "--tls-ca", rootFile, ...few)
      expect(held).toMatchObject({ code: 0, stderr: "" })
      const untrusting = yield* Cli.here("conform", gate, url, ...few)
      expect(untrusting.code).toBe(1)
      expect(untrusting.stdout).toContain("  due: TLS\n  came: TLS failed (unknown-authority)")
      expect(untrusting.stdout).toMatch(/\nhint: --tls-ca FILE /)

      const smtp = fileURLToPath(new URL("dialogue/shapes/smtp.ts", import.meta.url))
      const later = yield* Cli.serveHere(smtp, ...withTls)
      const at = `tcp://localhost:${later.port}`
      const started = yield* Cli.here("conform", smtp, at, "--tls-ca", rootFile, ...few)
      expect(started.stdout).toMatch(/\ntls +server  GoAhead +-> TLS, then hello +(?:once|\d+ times)\n/)
      expect(started.stdout).toMatch(/\nconforms: smtp /)
    }))

  it.live("says what is wrong with a value", () =>
    Effect.gen(function*() {
      const misuse: Record<string, [code: number, says: string, ...args: Array<string>]> = {
        "no such message": [
          64,
          "--set Login.user: there is no message Login; there are Hello,",
          "--set",
          "Login.user=a"
        ],
        "no such field": [64, "--set Hello.name: Hello has no field name; it has user\n", "--set", "Hello.name=a"],
        "no value of its type": [64, "--set Menu.items: ", "--set", "Menu.items=many"],
        "no value": [64, "--set is written MESSAGE.FIELD=VALUE", "--set", "hush"],
        "no such file": [66, "nowhere.json: ENOENT", "--values", "nowhere.json"],
        "no such values": [66, "it has to look like", "--values", yield* file("values.json", "[\"hush\"]")],
        "no JSON": [66, "it is no JSON", "--values", yield* file("values.json", "hush")]
      }
      for (const [code, says, ...args] of Object.values(misuse)) {
        const ran = yield* Cli.here("serve", gate, ...args)
        expect(ran).toMatchObject({ code, stdout: "" })
        expect(ran.stderr).toContain(says)
        expect(ran.stderr).not.toContain("hush")
      }
    }))

  it.live("names the protocols where there is no such module", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* Cli.here("serve", "lines")
      expect({ code, stderr }).toEqual({
        code: 66,
        stderr: "cannot load lines: there is no such file; the protocols are line, tls-line, http2, postgres and any\n"
      })
    }))
})

describe.concurrent("conform", () => {
  it.live("shows the first conversation in which the server did something else, and exits 1", () =>
    Effect.gen(function*() {
      const { port } = yield* answering("MENU many\n")
      const { code, stdout } = yield* Cli.here(
        "conform",
        gate,
        `tcp://127.0.0.1:${port}`,
        "--set",
        "Hello.user=ann",
        "--seed",
        "1"
      )
      expect(code).toBe(1)
      expect(stdout).toBe(`greeting  client  Hello  -> menu     once
menu      server  Menu   -> key      never
key       client  Key    -> verdict  never
verdict   server  Open   -> ready    never
verdict   server  Shut   -> refused  never


conversation 1:
  greeting  client  Hello {"user":"ann"}
  due: Menu
  came: "MENU many"

does not conform: gate at 127.0.0.1:${port}, 1 of 5 transitions in 1 conversations
seed: 1
`)
    }))

  it.live("exits 1 where the server was never ready, and says what may help", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen((peer) =>
        peer.socket.on("error", () => {}).on("data", (bytes) => {
          const isFirst = peer.socket.bytesRead === bytes.length
          if (isFirst && bytes.toString().startsWith("HELLO")) return peer.socket.write("MENU 1\n")
          return peer.socket.end(bytes.toString().startsWith("KEY") ? "SHUT no\n" : "WRONG\n")
        })
      )
      const { code, stdout } = yield* Cli.here("conform", gate, `tcp://127.0.0.1:${port}`, "--seed", "1")
      expect(code).toBe(1)
      expect(stdout).toContain("\nverdict   server  Open   -> ready    never\n")
      expect(stdout).toMatch(
        /\nnever ready: gate at .*, 4 of 5 transitions in \d+ conversations\nseed: 1\nhint: .*--set.* FILE\n$/
      )
    }))

  it.live("where the server has said something fresh, says that no value can be given for what is computed from it", () =>
    Effect.gen(function*() {
      const { port } = yield* Tcp.listen((peer) =>
        peer.socket.on("error", () => {}).on("data", (bytes) => {
          const isFirst = peer.socket.bytesRead === bytes.length
          if (isFirst && bytes.toString().startsWith("HELLO")) return peer.socket.write("NONCE 1\n")
          return peer.socket.end("DENIED\n")
        })
      )
      const { stdout } = yield* Cli.here("conform", challenge, `tcp://127.0.0.1:${port}`, "--seed", "1")
      expect(stdout).toMatch(
        /\nhint: .*--set .*; what has to be computed from Nonce\.nonce, .* cannot be said here: .*\n$/
      )
    }))

  it.live("exits 5 where nobody listens, and 64 for what is no URL of it", () =>
    Effect.gen(function*() {
      const port = yield* Tcp.deadPort
      const absent = yield* Cli.here("conform", gate, `tcp://127.0.0.1:${port}`)
      expect(absent).toMatchObject({ code: 5, stdout: "" })
      expect(absent.stderr).toMatch(/^no connection to 127\.0\.0\.1:\d+: .*ECONNREFUSED/)
      const other = yield* Cli.here("conform", gate, "line://127.0.0.1:1")
      expect(other).toMatchObject({
        code: 64,
        stderr: "cannot talk to \"line://127.0.0.1:1\": it looks like tcp://HOST:PORT or tls://HOST[:443]\n"
      })
    }))
})

describe.concurrent("probe --dialogue", () => {
  it.live("exits 3 where something else comes, at the state in which it did", () =>
    Effect.gen(function*() {
      const { port } = yield* answering("MENU many\n")
      const { code, stdout } = yield* Cli.here("probe", `tcp://127.0.0.1:${port}`, "--dialogue", gate, "--json")
      expect(code).toBe(3)
      expect(JSON.parse(stdout)).toMatchObject({
        protocol: "gate",
        outcome: "invalid",
        reason: { tag: "InvalidGreeting", step: "menu" }
      })
    }))

  it.live("exits 2 where the server leads it back to where it was", () =>
    Effect.gen(function*() {
      const { port } = yield* answering("-WRONGPASS no\r\n")
      const redis = `${fileURLToPath(new URL("dialogue/shapes/redis.ts", import.meta.url))}#Redis`
      const { code, stdout } = yield* Cli.here("probe", `tcp://127.0.0.1:${port}`, "--dialogue", redis, "--json")
      expect(code).toBe(2)
      expect(JSON.parse(stdout)).toMatchObject({
        outcome: "rejected",
        reason: { step: "greeting", message: expect.stringContaining("WrongPass {\"why\":\"no\"}") }
      })
    }))

  it.live("goes with tcp:// and tls://, and --set and the like go with it", () =>
    Effect.gen(function*() {
      const says = (...args: ReadonlyArray<string>) => Effect.map(Cli.here("probe", ...args), ({ stderr }) => stderr)
      expect(yield* says("tcp://127.0.0.1:1")).toBe("tcp:// needs --dialogue MODULE, which says what is spoken there\n")
      expect(yield* says("line://127.0.0.1:1", "--dialogue", gate)).toBe("--dialogue is of no use with line://\n")
      expect(yield* says("tls://127.0.0.1:1", "--ask")).toBe("--ask needs --dialogue MODULE\n")
      expect(yield* says("tcp://127.0.0.1:1", "--dialogue", gate, "--ask", "--json")).toBe(
        "--ask and --json do not go together\n"
      )
    }))
})

describe("--ask", () => {
  /** What is said in a state by somebody who types this. */
  const asked = (state: string, typed: string, given = Given.none) =>
    Effect.gen(function*() {
      const keys = yield* Queue.make<Terminal.UserInput, Cause.Done>()
      for (const character of typed) {
        const isEnter = character === "\n"
        Queue.offerUnsafe(keys, {
          input: isEnter ? Option.none() : Option.some(character),
          key: {
            name: isEnter ? "enter" : character === "\b" ? "backspace" : character,
            ctrl: false,
            meta: false,
            shift: false
          }
        })
      }
      Queue.endUnsafe(keys)
      const shown: Array<string> = []
      const said: Array<string> = []
      const terminal = Terminal.make({
        columns: Effect.succeed(80),
        rows: Effect.succeed(24),
        size: Effect.die("nobody asks"),
        readInput: Effect.succeed(keys),
        readLine: Effect.die("nobody asks"),
        display: (text) => Effect.sync(() => void shown.push(text))
      })
      const spec = Gate.dialogue
      const place = spec.states.get(state)!
      const move = yield* Ask.choose(given)({
        spec,
        role: "server",
        state: place,
        options: place.due,
        taken: [],
        heard: undefined
      }).pipe(
        Effect.provideService(Terminal.Terminal, terminal),
        Effect.provide(Path.layer),
        Effect.provideService(FileSystem.FileSystem, FileSystem.makeNoop({})),
        Effect.provideService(Console.Console, { ...globalThis.console, log: (line: string) => void said.push(line) }),
        Random.withSeed(1),
        Effect.option
      )
      return { move: Option.getOrUndefined(move), said, shown: shown.join("") }
    })

  it.effect("shows a numbered list, and takes a number and the fields", () =>
    Effect.gen(function*() {
      const { move, said } = yield* asked("verdict", "2\nlate\n")
      expect(said).toEqual([
        "verdict: what does the server say?",
        "  1  Open  -> ready",
        "  2  Shut {why}  -> refused"
      ])
      expect(move).toEqual({ _tag: "Say", message: "Shut", values: { why: "late" } })
    }))

  it.effect("takes the name of a message, and draws a field that is left out", () =>
    Effect.gen(function*() {
      const { move } = yield* asked("menu", "Menu\n\n")
      expect(move).toEqual({ _tag: "Say", message: "Menu", values: { items: expect.any(Number) } })
    }))

  it.effect("asks for nothing that is given", () =>
    Effect.gen(function*() {
      const { move } = yield* asked("menu", "1\n", Given.add(Given.none, "Menu", { items: 9 }))
      expect(move).toEqual({ _tag: "Say", message: "Menu", values: { items: 9 } })
    }))

  it.effect("says what is wrong with what was typed, and takes something better", () =>
    Effect.gen(function*() {
      const { move, shown } = yield* asked("menu", "3\n\b1\nx\n\b5\n")
      expect(shown).toContain("a number from 1 to 1")
      expect(move).toEqual({ _tag: "Say", message: "Menu", values: { items: 5 } })
    }))

  it.effect("does not show a secret that is typed", () =>
    Effect.gen(function*() {
      const { move, shown } = yield* asked("key", "1\nsesame\n")
      expect(move).toMatchObject({ message: "Key", values: { key: Redacted.make("sesame") } })
      expect(shown).not.toContain("sesame")
    }))

  it.effect("ends where nobody is there any more", () =>
    Effect.gen(function*() {
      expect((yield* asked("menu", "")).move).toBeUndefined()
    }))
})
