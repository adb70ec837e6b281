/**
 * Effect by hand on the socket's own events, the fastest Effect shape that was found. NodeSocketServer accepts,
 * supervises and interrupts connections, but the bytes come from the socket's 'data' events. A chunk's lines are handled
 * in place: an Effect that is an Exit already costs no fiber; the first one that is not starts one fiber for the rest of
 * the chunk, and only where that fiber suspends is the socket paused.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as SocketServer from "effect/socket/SocketServer"
import type { Socket } from "node:net"
import { encode, Lines } from "./lines.ts"
import { listening } from "./listening.ts"

const handle = (line: string): Effect.Effect<string> => Effect.succeed(line)

/** Replaces `lines[from..]` by their answers. */
const handleFrom = (lines: Array<string>, from: number): Effect.Effect<void> => {
  let i = from
  return Effect.whileLoop({
    while: () => i < lines.length,
    body: () => handle(lines[i]),
    step: (answer) => {
      lines[i++] = answer
    }
  })
}

const attach = (conn: Socket, context: Context.Context<never>, closed: () => void): void => {
  const runFork = Effect.runForkWith(context)
  const splitter = new Lines()
  let ready = false
  let ended = false
  let blocked = false
  let pending: Fiber.Fiber<void> | undefined

  const send = (lines: ReadonlyArray<string>): void => {
    if (!conn.write(encode(lines), "utf8")) {
      blocked = true
      conn.pause()
    }
  }
  const onData = (chunk: Buffer): void => {
    const lines = splitter.push(chunk)
    if (lines === undefined) return
    let n = 0
    if (!ready) {
      if (lines[0] !== "You ready?") {
        conn.off("data", onData)
        conn.end("No! Go away!\n")
        return
      }
      ready = true
      lines[n++] = "Bring it!"
    }
    for (; n < lines.length; n++) {
      const effect = handle(lines[n])
      if (!Exit.isExit(effect) || Exit.isFailure(effect)) break
      lines[n] = effect.value as string // the guard forgets what the Effect's own type says
    }
    if (n === lines.length) return send(lines)
    const fiber = runFork(handleFrom(lines, n))
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      if (Exit.isSuccess(exit)) send(lines)
      else conn.destroy()
      return
    }
    pending = fiber
    conn.pause()
    fiber.addObserver((exit) => {
      pending = undefined
      if (Exit.isFailure(exit)) conn.destroy()
      if (conn.destroyed) return
      send(lines)
      if (ended) conn.end()
      else if (!blocked) conn.resume()
    })
  }
  conn.on("data", onData)
  conn.on("drain", () => {
    blocked = false
    if (pending === undefined) conn.resume()
  })
  conn.on("end", () => {
    ended = true
    if (pending === undefined) conn.end()
  })
  conn.on("close", () => {
    pending?.interruptUnsafe()
    closed()
  })
  conn.resume()
}

const serve = Effect.fnUntraced(function*() {
  const context = yield* Effect.context<never>()
  const conn = Option.getOrThrow(yield* Effect.serviceOption(NodeSocket.NetSocket))
  yield* Effect.callback<void>((resume) => {
    attach(conn, context, () => resume(Effect.void))
    return Effect.sync(() => conn.destroy())
  })
})

const program = Effect.gen(function*() {
  const server = yield* SocketServer.SocketServer
  yield* listening(server.address)
  return yield* server.run(serve)
}).pipe(
  Effect.provide(
    NodeSocketServer.layer({ host: "127.0.0.1", port: Number(process.argv[2]), noDelay: true, allowHalfOpen: true })
  )
)

NodeRuntime.runMain(program)
