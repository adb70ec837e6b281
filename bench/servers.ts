/**
 * The servers that are compared, and how one is started.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { fileURLToPath } from "node:url"
import * as Process from "./process.ts"

/** How a server is run. It listens on 127.0.0.1 and tells its port in a line `listening … PORT`. */
export interface Spec {
  readonly name: string
  readonly what: string
  /** The port to listen on, 0, is appended. */
  readonly command: ReadonlyArray<string>
  /** Which cores it may use, as taskset lists them. Default: the one for servers. */
  readonly cores?: string | undefined
  /** A check of linebench that it is known to fail. With any other failure it is not measured. */
  readonly known?: RegExp | undefined
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const node = (script: string, ...args: ReadonlyArray<string>): ReadonlyArray<string> => [
  process.execPath,
  "--expose-gc",
  "--import",
  new URL("leash.ts", import.meta.url).href,
  file(script),
  ...args
]

/** The server that every ratio is to. */
export const base = "raw-node"

/** Ours, with options of `servers/ours.ts`. */
export const ours = (...options: ReadonlyArray<string>): Spec => ({
  name: "ours",
  what: "this library: Server.layer, Line, Pipeline.serve, Net.layerServer",
  command: node("servers/ours.ts", ...options)
})

export const all: ReadonlyArray<Spec> = [
  {
    name: base,
    what: "node:net by hand, one decode and one write for each chunk",
    command: node("servers/raw-node.ts")
  },
  ours(),
  {
    name: "ours-cli",
    what: "this library by its command, serve line",
    command: node("../src/cli/main.ts", "serve", "line", "--max-length", `${4 * 1024 * 1024}`, "--port")
  },
  {
    name: "raw-node-simple",
    what: "node:net as it is usually written, one write for each line",
    command: node("servers/raw-node-simple.ts"),
    known: /^backpressure/
  },
  {
    name: "effect-naive",
    what: "Effect by hand, a Stream of lines, one write for each line",
    command: node("servers/effect-naive.ts")
  },
  {
    name: "effect-tuned",
    what: "Effect by hand on reader.pull, one write for each batch",
    command: node("servers/effect-tuned.ts")
  },
  {
    name: "effect-direct",
    what: "Effect by hand on the socket's own events",
    command: node("servers/effect-direct.ts")
  }
]

/** A server that listens. */
export interface Server {
  readonly name: string
  readonly pid: number
  readonly port: number
}

/** Starts a server and waits until it listens; the end of the scope stops it. */
export const start = (spec: Spec): Effect.Effect<Server, Process.BenchError, Scope.Scope> =>
  Effect.gen(function*() {
    const running = yield* Process.start(spec.cores ?? Process.serverCore, [...spec.command, "0"])
    const [, port] = yield* running.says(/listening.*?(\d+)\n/).pipe(
      Effect.timeoutOrElse({
        duration: "20 seconds",
        orElse: () => Effect.fail(new Process.BenchError({ message: `${spec.name} did not begin to listen` }))
      })
    )
    return { name: spec.name, pid: running.pid, port: Number(port) }
  })
