/**
 * TLS on loopback: both sides of ours, and plain `node:tls` in the place of either.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as NodeNet from "node:net"
import * as NodeTls from "node:tls"
import { isHandshakeError } from "../../src/HandshakeError.ts"
import * as Net from "../../src/node/Net.ts"
import type * as Peer from "../../src/Peer.ts"
import * as Line from "../../src/protocols/Line.ts"
import * as Tls from "../../src/protocols/Tls.ts"
import type * as Transport from "../../src/Transport.ts"
import * as Certificates from "./certificates/index.ts"

/** What came of one side: what TLS has agreed on, or at which step it failed and why. */
export interface Outcome {
  readonly tls?: Peer.Tls | undefined
  readonly step?: string
  readonly reason?: { readonly _tag: string; readonly kind?: string; readonly fault?: string; readonly detail?: string }
}

export const outcomeOf = (exit: Exit.Exit<Peer.Tls | undefined, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return { tls: exit.value }
  const error = Cause.squash(exit.cause)
  if (!isHandshakeError(error)) throw error
  const { reason, step } = error
  return { step, reason: { ...reason, _tag: reason._tag, fault: reason.fault } }
}

type Lines = Effect.Effect<Transport.Transport<string, string>, unknown, Socket.Socket | Scope.Scope>

/** How a handshake over this socket ends. The connection is over then. */
export const ending = (handshake: Lines, socket: Socket.Socket): Effect.Effect<Outcome> =>
  Effect.map(
    Effect.exit(Effect.scoped(
      Effect.flatMap(handshake, (transport) => Effect.map(transport.peer, ({ tls }) => tls)).pipe(
        Effect.provideService(Socket.Socket, socket)
      )
    )),
    outcomeOf
  )

/** The line protocol inside TLS, as the client of a port. */
export const client = (port: number, options: Partial<Tls.ClientOptions> = {}): Effect.Effect<Outcome> =>
  Effect.flatMap(
    Net.socket({ host: "127.0.0.1", port }),
    (socket) =>
      ending(Line.client.pipe(Tls.client({ servername: "localhost", ca: Certificates.root, ...options })), socket)
  )

/** A server for one connection, on a port of its own, and how that ends. */
export const accepting = (handshake: Lines) =>
  Effect.gen(function*() {
    const server = yield* Net.makeServer({ host: "127.0.0.1", port: 0 })
    const outcome = yield* Effect.forkScoped(
      Effect.callback<Outcome>((resume) => {
        const fiber = Effect.runFork(
          server.run((socket) => Effect.map(ending(handshake, socket), (outcome) => resume(Effect.succeed(outcome))))
        )
        return Effect.sync(() => fiber.interruptUnsafe())
      }),
      { startImmediately: true }
    )
    return { port: server.address._tag === "UnixPathAddress" ? 0 : server.address.port, outcome }
  })

/** The line protocol inside TLS, as the server of one connection. */
export const server = (options: Partial<Tls.ServerOptions> = {}) =>
  accepting(Line.server.pipe(Tls.server({ certificate: Certificates.server, ...options })))

/** What a plain `node:tls` peer has seen. */
export interface Seen {
  readonly secure: boolean
  /** The code of the error that it has ended with. */
  readonly code: string | undefined
  readonly alpn: string | false | null | undefined
  readonly authorized: boolean
}

const watch = (socket: NodeTls.TLSSocket, ready: string, resume: (seen: Seen) => void) => {
  let secure = false
  let code: string | undefined
  let alpn: Seen["alpn"]
  let authorized = false
  socket.on(ready, () => {
    secure = true
    alpn = socket.alpnProtocol
    authorized = socket.authorized
  })
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code ??= error.code ?? error.message
  })
  socket.on("close", () => resume({ secure, code, alpn, authorized }))
}

/** A client of `node:tls` that says the line protocol's first line. */
export const nodeClient = (port: number, options: NodeTls.ConnectionOptions = {}): Effect.Effect<Seen> =>
  Effect.callback((resume) => {
    const socket = NodeTls.connect({
      host: "127.0.0.1",
      port,
      servername: "localhost",
      ca: Certificates.root,
      ...options
    })
    watch(socket, "secureConnect", (seen) => resume(Effect.succeed(seen)))
    socket.on("secureConnect", () => socket.write("You ready?\n"))
    socket.on("data", () => socket.end())
    return Effect.sync(() => socket.destroy())
  })

/** A server of `node:tls` that answers whatever comes with the line protocol's welcome. */
export const nodeServer = (options: NodeTls.TlsOptions = {}) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<{ readonly server: NodeTls.Server; readonly errors: Array<string>; readonly seen: Array<Seen> }>(
        (resume) => {
          const errors: Array<string> = []
          const seen: Array<Seen> = []
          const server = NodeTls.createServer(
            { ...pem(Certificates.server), allowHalfOpen: true, ...options },
            (socket) => {
              const { alpnProtocol: alpn, authorized } = socket
              socket.on("error", (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message))
              socket.on("data", () => socket.write("Bring it!\n"))
              socket.on("end", () => socket.end())
              seen.push({ secure: true, code: undefined, alpn, authorized })
            }
          )
          server.on("tlsClientError", (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message))
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, errors, seen })))
        }
      ),
      ({ server }) => Effect.sync(() => server.close())
    ),
    ({ errors, seen, server }) => ({ errors, port: portOf(server), seen })
  )

/** As `node:tls` takes it. */
export const pem = (certificate: Certificates.Certificate) => ({
  cert: certificate.cert,
  key: Redacted.value(certificate.key)
})

/**
 * Makes something of what passes. `cut` breaks both connections off, and `later` hands something on in a few
 * milliseconds, each piece in a segment of its own where the system lets it.
 */
export type Pass = (
  from: "client" | "server",
  chunk: Buffer,
  cut: (how: "end" | "reset") => void,
  later: (pieces: () => ReadonlyArray<Uint8Array>) => void
) => Uint8Array

/** Stands between the clients of its port and the server of another. */
export const between = (port: number, pass: Pass) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly close: () => void }>((resume) => {
      const sockets = new Set<NodeNet.Socket>()
      const server = NodeNet.createServer({ allowHalfOpen: true }, (near) => {
        const far = NodeNet.connect({ host: "127.0.0.1", port, allowHalfOpen: true })
        let isCut = false
        const cut = (how: "end" | "reset") => {
          isCut = true
          for (const socket of [near, far]) {
            if (how === "end") socket.end()
            else socket.resetAndDestroy()
          }
        }
        const join = (from: "client" | "server", a: NodeNet.Socket, b: NodeNet.Socket) => {
          sockets.add(a)
          a.setNoDelay(true)
          a.on("error", () => b.destroy())
          // All in order: what comes meanwhile is handed on behind what waits, and so is the end.
          let waiting = 0
          let onIdle = () => {}
          const write = (pieces: ReadonlyArray<Uint8Array>) => {
            for (const bytes of pieces) if (bytes.length > 0 && b.writable) b.write(bytes)
          }
          const later = (pieces: () => ReadonlyArray<Uint8Array>) => {
            waiting++
            setTimeout(() => {
              write(pieces())
              if (--waiting === 0) onIdle()
            }, 5)
          }
          const whenIdle = (act: () => void) => {
            const before = onIdle
            if (waiting === 0) return act()
            onIdle = () => {
              before()
              act()
            }
          }
          a.on("close", () => whenIdle(() => b.destroySoon()))
          a.on("end", () => whenIdle(() => b.end()))
          a.on("data", (chunk) => {
            if (isCut) return
            const isBehind = waiting > 0
            const passed = pass(from, chunk, cut, later)
            if (isBehind) later(() => [passed])
            else write([passed])
          })
        }
        join("client", near, far)
        join("server", far, near)
      })
      const close = () => {
        server.close()
        sockets.forEach((socket) => socket.destroy())
      }
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ port: portOf(server), close })))
    }),
    ({ close }) => Effect.sync(close)
  )

const portOf = (server: NodeNet.Server): number => {
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port")
  return address.port
}
