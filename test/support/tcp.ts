/**
 * Peers on real sockets that are nothing but bytes.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import { expect } from "vitest"

/** The longest that anything on loopback may take; whoever waits longer waits in vain. */
const patience: Duration.Input = "15 seconds"

/** Something that changes, and those who wait for it to become so. */
export class Watched {
  private watchers = new Set<() => void>()

  changed(): void {
    this.watchers.forEach((watcher) => watcher())
  }

  /** Waits until it is so; dies where that takes too long. */
  until(what: string, holds: () => boolean, state: () => unknown, within = patience): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const watcher = () => {
        if (!holds()) return
        this.watchers.delete(watcher)
        resume(Effect.void)
      }
      this.watchers.add(watcher)
      watcher()
      return Effect.sync(() => this.watchers.delete(watcher))
    }).pipe(
      Effect.timeoutOrElse({
        duration: within,
        orElse: () => Effect.die(new Error(`waited in vain for ${what}; there is ${JSON.stringify(state())}`))
      })
    )
  }
}

/** Text that comes in pieces. */
export class Heard {
  private readonly watched = new Watched()
  private readonly isOver: () => boolean
  private chunks: Array<Buffer> = []

  constructor(isOver: () => boolean) {
    this.isOver = isOver
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("utf8")
  }

  push(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.changed()
  }

  changed(): void {
    this.watched.changed()
  }

  until(what: string, holds: () => boolean, within?: Duration.Input): Effect.Effect<void> {
    return this.watched.until(what, holds, () => this.text, within)
  }

  /** Waits until that much was heard, and it is this and nothing else. */
  says(text: string): Effect.Effect<void> {
    return Effect.map(
      this.until(JSON.stringify(text), () => this.isOver() || this.text.length >= text.length),
      () => expect(this.text).toBe(text)
    )
  }
}

export interface Peer {
  readonly socket: Net.Socket
  /** Writes, and waits until the bytes are with the system or the connection is dead. */
  readonly say: (bytes: string | Uint8Array) => Effect.Effect<void>
  /** The same, each byte in a segment of its own. */
  readonly spell: (text: string) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
  /** Stops to read, and reads again. */
  readonly deafen: Effect.Effect<void>
  readonly listen: Effect.Effect<void>
  readonly reset: Effect.Effect<void>
  readonly heard: () => string
  /** Waits until exactly this was heard so far. */
  readonly hears: (text: string) => Effect.Effect<void>
  /** Waits for the other side's end, and returns all that was heard. A reset is no end and fails. */
  readonly ended: Effect.Effect<string, Error>
  /** Waits for the other side's end or a reset, whichever it is. */
  readonly over: Effect.Effect<void>
  readonly isOpen: () => boolean
}

/** Lets the event loop go round once. */
export const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** What one end of a connection says and hears. */
export const peerOf = (socket: Net.Socket): Peer => {
  let state: "open" | "ended" | Error = "open"
  const heard = new Heard(() => state !== "open" || socket.destroyed)
  const become = (next: typeof state) => {
    if (state === "open") state = next
    heard.changed()
  }
  socket.setNoDelay(true)
  socket.on("data", (chunk) => heard.push(chunk))
  socket.on("end", () => become("ended"))
  socket.on("error", (error) => become(error))
  socket.on("close", () => become(new Error("closed without an end")))
  const say = (bytes: string | Uint8Array) =>
    Effect.callback<void>((resume) => {
      socket.write(bytes, () => resume(Effect.void))
    })
  return {
    socket,
    say,
    spell: (text) =>
      Effect.forEach(
        Buffer.from(text),
        (byte) => Effect.andThen(say(Uint8Array.of(byte)), turn),
        { discard: true }
      ),
    end: Effect.sync(() => {
      socket.end()
    }),
    deafen: Effect.sync(() => {
      socket.pause()
    }),
    listen: Effect.sync(() => {
      socket.resume()
    }),
    reset: Effect.sync(() => {
      socket.resetAndDestroy()
    }),
    heard: () => heard.text,
    hears: (text) => heard.says(text),
    ended: Effect.suspend(() =>
      Effect.flatMap(
        heard.until("the end", () => state !== "open"),
        () => state instanceof Error ? Effect.fail(state) : Effect.succeed(heard.text)
      )
    ),
    over: heard.until("the end or a reset", () => state !== "open"),
    isOpen: () => state === "open" && !socket.destroyed
  }
}

/** Dials a port of 127.0.0.1 or a path. It may end its side and still hear the other. */
export const dial = (to: number | string): Effect.Effect<Peer, NodeJS.ErrnoException, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Peer, NodeJS.ErrnoException>((resume) => {
      const where = typeof to === "string" ? { path: to } : { host: "127.0.0.1", port: to }
      const socket = Net.connect({ ...where, allowHalfOpen: true })
      const failed = (error: NodeJS.ErrnoException) => resume(Effect.fail(error))
      socket.once("error", failed)
      socket.once("connect", () => {
        socket.off("error", failed)
        resume(Effect.succeed(peerOf(socket)))
      })
      return Effect.sync(() => {
        socket.destroy()
      })
    }),
    (peer) =>
      Effect.sync(() => {
        peer.socket.destroy()
      })
  )

/** Dials, says this, and goes on. */
export const saying = (to: number | string, said: string) => Effect.tap(dial(to), (peer) => peer.say(said))

/** Listens on a port of 127.0.0.1 and does this with whoever comes. */
export const listen = (
  onPeer: (peer: Peer) => void
): Effect.Effect<{ readonly port: number; readonly close: Effect.Effect<void> }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly close: Effect.Effect<void> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
        onPeer(peerOf(socket))
      })
      const close = Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        sockets.forEach((socket) => socket.destroy())
      })
      server.listen({ host: "127.0.0.1", port: 0 }, () => {
        const address = server.address()
        if (address === null || typeof address === "string") throw new Error("a TCP server has a port")
        resume(Effect.succeed({ port: address.port, close }))
      })
    }),
    ({ close }) => close
  )

/** A port where nobody listens. */
export const deadPort: Effect.Effect<number> = Effect.scoped(Effect.map(listen(() => {}), ({ port }) => port))

/** A port from which everything takes so many milliseconds each way to another. */
export const delayed = (port: number, millis: number): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    listen(({ socket: near }) => {
      const far = Net.connect({ host: "127.0.0.1", port, allowHalfOpen: true })
      for (const [from, to] of [[near, far], [far, near]]) {
        from.on("error", () => to.destroy())
        from.on("data", (chunk) => setTimeout(() => to.write(chunk), millis))
        from.on("end", () => setTimeout(() => to.end(), millis))
      }
    }),
    ({ port }) => port
  )
