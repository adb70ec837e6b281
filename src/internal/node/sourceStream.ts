/**
 * A source as Node's stream, for TLS over a socket that is none of Node's.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Socket from "effect/socket/Socket"
import { Duplex } from "node:stream"
import type { TlsFailure } from "../../TransportError.ts"
import type { Source, SourceEvents } from "../connection/source.ts"

type Done = (error?: Error | null) => void

type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** How much waits here at most in each direction, above what the source itself keeps. One record of TLS has as much. */
const highWaterMark = 16 * 1024

/** It owns the source: destroyed, it gives it up. */
export class SourceStream extends Duplex implements SourceEvents {
  private readonly source: Source
  private readonly fork: Fork
  /** As Node's sockets have it. */
  bytesRead = 0
  private writing: Fiber.Fiber<void, Socket.SocketError> | undefined = undefined

  constructor(source: Source, fork: Fork) {
    super({ allowHalfOpen: true, highWaterMark })
    this.source = source
    this.fork = fork
    source.attach(this)
  }

  onBytes(chunk: Uint8Array): void {
    this.bytesRead += chunk.length
    // The source may use its array again.
    if (!this.destroyed && !this.push(new Uint8Array(chunk))) this.source.pause()
  }

  onEnd(error: Socket.SocketError | TlsFailure | undefined): void {
    if (error !== undefined) this.destroy(error)
    else if (!this.destroyed) this.push(null)
  }

  override _read(): void {
    this.source.resume()
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    this.running(this.source.write([chunk]), done)
  }

  override _final(done: Done): void {
    if (this.source.endWrite()) done()
    else this.source.onFlushed(done)
  }

  override _destroy(error: Error | null, done: Done): void {
    this.source.pause()
    // Nobody else would end a write that the peer does not take.
    this.writing?.interruptUnsafe()
    this.source.endWrite()
    this.source.destroy?.()
    done(error)
  }

  private running(effect: Effect.Effect<void, Socket.SocketError>, done: Done): void {
    const fiber = this.writing = this.fork(effect)
    fiber.addObserver((exit) => {
      this.writing = undefined
      const error = Exit.isSuccess(exit) ? undefined : Cause.squash(exit.cause)
      done(error instanceof Error ? error : undefined)
    })
  }
}
