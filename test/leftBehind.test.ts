/**
 * What stays of a connection that is over where something outside still knows of it. V8 keeps some such things until a full collection,
 * and what stays with them it takes for long-lived: see `docs/speed.md`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import { once } from "node:events"
import { globSync, readFileSync } from "node:fs"
import * as NodeNet from "node:net"
import { hear } from "../src/internal/node/hearing.ts"
import { NetSource } from "../src/internal/node/netSource.ts"
import * as NodeTls from "../src/internal/node/nodeTls.ts"
import * as Http2 from "../src/protocols/Http2.ts"
import * as MemorySocket from "../src/testing/MemorySocket.ts"
import * as Transcript from "../src/Transcript.ts"
import * as Certificates from "./support/certificates/index.ts"
import { isCollected } from "./support/collected.ts"
import { utf8 } from "./support/conversation.ts"
import { connectedRaw } from "./support/linePeer.ts"

describe("a stream of frames", () => {
  /** One that was read from, and its transport. The connection is over. */
  const left = (said: string) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { peer, transport } = yield* Scope.provide(connectedRaw(), scope)
      yield* Effect.andThen(peer.write(utf8(said)), peer.end)
      const { incoming } = transport
      const read = yield* Effect.exit(Stream.runCollect(incoming))
      yield* Scope.close(scope, Exit.void)
      return { incoming, read, transport: new WeakRef(transport) }
    })

  it.live("keeps nothing of its transport when the connection is over, and ends again", () =>
    Effect.gen(function*() {
      const { incoming, read, transport } = yield* left("one\n")
      expect(read).toEqual(Exit.succeed(["one"]))
      expect(yield* isCollected(transport)).toBe(true)
      expect(yield* Stream.runCollect(incoming)).toEqual([])
    }))

  it.effect("that has failed fails again in the same way", () =>
    Effect.gen(function*() {
      const { incoming, read } = yield* left("one\ncut")
      const again = yield* Effect.exit(Stream.runCollect(incoming))
      expect(again).toEqual(read)
      expect(yield* Effect.flip(Stream.runCollect(incoming))).toMatchObject({ reason: { _tag: "Truncated" } })
    }))

  it.effect("that is watched tells of its end, also where that is looked for behind the connection", () =>
    Effect.gen(function*() {
      const behind = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { transport } = yield* Scope.provide(connectedRaw(), scope)
        const { incoming } = transport
        yield* Scope.close(scope, Exit.void)
        return yield* Stream.runCollect(incoming)
      })
      const [exit, transcript] = yield* Transcript.record(behind)
      expect(exit).toEqual(Exit.succeed([]))
      expect(transcript.at(-1)).toMatchObject({ direction: "note", frame: "the connection was closed on this side" })
    }))
})

/** Both ends of a connection on loopback, the one that was dialled first. */
const dialled = Effect.acquireRelease(
  Effect.promise(async () => {
    const server = NodeNet.createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const { port } = server.address() as NodeNet.AddressInfo // it listens on TCP
    const accepted = once(server, "connection")
    const here = NodeNet.connect(port, "127.0.0.1")
    const [there] = await accepted as [NodeNet.Socket] // that is what the event has
    server.close()
    return [here, there] as const
  }),
  (both) => Effect.sync(() => both.forEach((conn) => conn.destroy()))
)

describe("a Node socket", () => {
  it.live("that is closed keeps nothing of who has heard it", () =>
    Effect.gen(function*() {
      const [conn] = yield* dialled
      const heard = yield* Effect.promise(async () => {
        const source = new NetSource(conn)
        const events = { onBytes: () => {}, onEnd: () => {} }
        source.attach(events)
        const closed = once(conn, "close")
        source.destroy()
        await closed
        return new WeakRef(events)
      })
      expect(yield* isCollected(heard)).toBe(true)
      expect(conn.destroyed).toBe(true)
    }).pipe(Effect.scoped))

  it.live("that is inside TLS keeps nothing of who has waited for it", () =>
    Effect.gen(function*() {
      const [here, there] = yield* dialled
      const { root, server } = Certificates
      const shaken = (conn: NodeNet.Socket, options: NodeTls.Options) => {
        const waits = { since: 0 }
        const use = ({ socket }: NodeTls.Secured) => {
          hear(socket, undefined)
          waits.since++
        }
        return Effect.map(NodeTls.securing(conn, options, use), () => new WeakRef(waits))
      }
      const waited = yield* Effect.all([
        shaken(here, { role: "client", servername: "localhost", ca: root }),
        shaken(there, { role: "server", certificate: server, names: { "other.example": server } })
      ], { concurrency: "unbounded" })
      expect(yield* Effect.forEach(waited, isCollected)).toEqual([true, true])
      expect([here.destroyed, there.destroyed]).toEqual([false, false])
    }).pipe(Effect.scoped))
})

describe("HTTP/2", () => {
  const shaken = Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    const both = [
      Http2.server().pipe(Effect.provideService(Socket.Socket, there)),
      Http2.client().pipe(Effect.provideService(Socket.Socket, here))
    ] as const
    const [server] = yield* Effect.all(both, { concurrency: "unbounded" })
    return server
  })

  it.effect("reads what is known of a connection by the same functions for all of them, and each has its own", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* shaken, yield* shaken]
      const gettersOf = (view: object) =>
        Object.values(Object.getOwnPropertyDescriptors(view)).flatMap(({ get }) => get === undefined ? [] : [get])
      expect(gettersOf(one.settings)).toEqual(gettersOf(other.settings))
      expect(gettersOf(one.windows)).toEqual(gettersOf(other.windows))
      expect(Object.keys(one.settings)).toEqual(["local", "remote", "isAcknowledged"])
      expect(Object.keys(one.windows)).toEqual(["send", "receive"])
      yield* one.send({ _tag: "WindowUpdate", streamId: 0, increment: 7 })
      expect(one.windows.receive - other.windows.receive).toBe(7)
    }))
})

// V8 makes such a function in its old generation, and keeps all that it knows until a full collection. With a name of its own it is
// made where everything else is.
it("no function of the library is made where it is assigned to a property", () => {
  const made = /^\s*[\w.]+\.\w+ (\?\?)?= (async )?(\([^()]*\)(: [^=]+)? =>|\w+ =>|function|$)/
  expect(made.test("    connection.onClosed = () => {")).toBe(true)
  expect(made.test("    this.onWritten = written")).toBe(false)
  const found = globSync("src/**/*.ts", { cwd: `${import.meta.dirname}/..` })
    .filter((file) => !file.startsWith("src/cli/") && !file.startsWith("src/testing/"))
    .flatMap((file) =>
      readFileSync(`${import.meta.dirname}/../${file}`, "utf8").split("\n").flatMap((line, i) =>
        made.test(line) && !line.trimStart().startsWith("*") ? [`${file}:${i + 1} ${line.trim()}`] : []
      )
    )
  expect(found).toEqual([])
})
