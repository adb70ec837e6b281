/**
 * The package in a browser: what a client needs is bundled with nothing of Node in it, and talks to a server of ours over a
 * WebSocket, in Chromium.
 */
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import { fileURLToPath } from "node:url"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"
import * as Pure from "../.ci/pure.ts"
import * as Pipeline from "../src/Pipeline.ts"
import * as Line from "../src/protocols/Line.ts"
import * as Server from "../src/Server.ts"
import { directory } from "./support/directory.ts"
import * as Peers from "./support/peers.ts"

const entry = fileURLToPath(new URL("support/browserClient.ts", import.meta.url))

/** One file for browsers, and the modules of this package that are in it. */
const bundled = async (input: string, external: ReadonlyArray<RegExp> = []) => {
  const warnings: Array<string> = []
  const bundle = await rolldown({
    input,
    platform: "browser",
    external: [...external],
    // As the package is built.
    plugins: [{ name: "pure", transform: (code, id) => id.endsWith(".ts") ? Pure.annotated(code, "ts") : null }],
    onwarn: ({ message }) => warnings.push(message)
  })
  const { output: [chunk] } = await bundle.generate({ format: "esm", minify: true, codeSplitting: false })
  await bundle.close()
  return { code: chunk.code, imports: chunk.imports, warnings, modules: chunk.moduleIds }
}

let made: ReturnType<typeof bundled> | undefined

/** The client with all that it needs. */
const client = () => made ??= bundled(entry)

const kibibytes = (code: string) => gzipSync(code).length / 1024

it("a client for browsers has nothing of Node in it, and no warning when it is bundled", async () => {
  const { code, imports, modules, warnings } = await client()
  expect({ imports, warnings }).toEqual({ imports: [], warnings: [] })
  expect(modules.filter((path) => /platform-node|src\/(internal\/)?node\//.test(path))).toEqual([])
  expect(code).not.toMatch(/["']node:/)
})

it("a client for browsers has nothing in it that it does not use, such as clients that connect again, and pools", async () => {
  const { modules } = await client()
  expect(modules).toContainEqual(expect.stringMatching(/src\/Client\.ts$/))
  expect(modules.filter((path) => /src\/(internal\/(client|admission|server|dialogue)\/|Server)/.test(path))).toEqual(
    []
  )
})

describe("what a module computes when it is loaded is annotated", () => {
  it.each([
    ["const a = f(1, g())", "const a = /*#__PURE__*/ f(1, /*#__PURE__*/ g())"],
    ["export const a = new A()", "export const a = /*#__PURE__*/ new A()"],
    ["class A extends f()(\"A\") {}", "class A extends /*#__PURE__*/ f()(\"A\") {}"],
    [
      "class A { static a = f(); b = f(); c() { f() } }",
      "class A { static a = /*#__PURE__*/ f(); b = f(); c() { f() } }"
    ],
    ["const a = { [f()]: x ? g() : h }", "const a = { [/*#__PURE__*/ f()]: x ? /*#__PURE__*/ g() : h }"]
  ])("%s", (code, annotated) => {
    expect(Pure.annotated(code, "js")).toBe(annotated)
  })

  it.each(["f()", "const a = () => f()", "function a() { return f() }", "const a = function() { f() }", "a.b = f()"])(
    "and nothing that is done for what it does, or later: %s",
    (code) => {
      expect(Pure.annotated(code, "js")).toBe(code)
    }
  )
})

it("a client for browsers is as large as its documentation says", async () => {
  const whole = kibibytes((await client()).code)
  const own = kibibytes((await bundled(entry, [/^effect(\/|$)/])).code)
  console.log(
    `a client of lines over WebSocket: ${whole.toFixed(1)} KiB with gzip, of which ${own.toFixed(1)} are ours`
  )
  const page = readFileSync(new URL("../docs/runtimes.md", import.meta.url), "utf8")
  const [, said, effect] = /is (\d+) KiB with gzip, of which Effect is (\d+)/.exec(page) ?? []
  expect(Math.abs(whole - Number(said))).toBeLessThan(2)
  expect(Math.abs(whole - own - Number(effect))).toBeLessThan(2)
})

/** Serves a page that runs the client, and waits for what it has to tell. */
const page = Effect.fnUntraced(function*(script: string) {
  const told = yield* Deferred.make<unknown>()
  const server = Http.createServer((request, response) => {
    if (request.method === "POST") {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => body += text).on("end", () => {
        response.end()
        Deferred.doneUnsafe(told, Effect.succeed(JSON.parse(body)))
      })
    } else if (request.url === "/client.js") {
      response.setHeader("content-type", "text/javascript").end(script)
    } else {
      response.setHeader("content-type", "text/html").end("<!doctype html><script type=module src=/client.js></script>")
    }
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`,
    told: Deferred.await(told)
  }
})

Peers.describeWith(["chromium"], "Chromium", () => {
  it.live("is let in with the right words, hears its answers, and is told why it is not let in", () =>
    Effect.gen(function*() {
      const { address } = yield* Server.Server
      const { code } = yield* Effect.promise(client)
      const { told, url } = yield* page(code)
      const port = "port" in address ? address.port : 0
      yield* Peers.start("chromium", [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--remote-debugging-port=0",
        `--user-data-dir=${yield* directory}`,
        `${url}?server=ws://127.0.0.1:${port}`
      ])
      const answer = yield* Effect.timeout(told, "15 seconds")
      expect(answer).toEqual({
        answers: ["HELLO", "GRÜSSE", "X".repeat(60_000)],
        refused:
          "line handshake failed at step expect \"Bring it!\": rejected by the peer: \"No! Go away!\"; try again later or elsewhere"
      })
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Server.layer({
          protocol: Line.protocol,
          serve: Pipeline.serve((line) => Effect.succeed(line.toUpperCase()))
        }).pipe(Layer.provide(NodeSocketServer.layerWebSocket({ host: "127.0.0.1", port: 0 })))
      )
    ))
})
