/**
 * A socket whose use is counted: how often it is opened and released, what is read from it and written to it, and what
 * decoders do with the bytes.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import type * as Codec from "../../Codec.ts"
import * as PullSource from "../../internal/connection/pullSource.ts"
import { type Chunks, type Source, SourceSocket, StandIn } from "../../internal/connection/source.ts"

const encoder = new TextEncoder()

const bytesOf = (chunk: Uint8Array | string): Uint8Array =>
  typeof chunk === "string" ? encoder.encode(chunk) : new Uint8Array(chunk)

export class Tap {
  opened = 0
  released = 0
  /** How many writes without a fiber had to wait. */
  waited = 0
  /** How many bytes the side under test was given. */
  pulled = 0
  /** How many it had when it was given the last of them: with so many it has asked for more. */
  asked = 0
  /** How many bytes decoders have looked at, as often as they did. */
  examined = 0
  readonly written: Array<Uint8Array> = []
  readonly socket: SourceSocket

  /**
   * On the fast way a connection that is there already stays one, and decoders see the unread bytes themselves unless what
   * they do is counted.
   */
  constructor(socket: Socket.Socket, way: { readonly isFast: boolean; readonly counts: boolean }) {
    const source = SourceSocket.is(socket) ? socket.source : PullSource.make(socket)
    const isThere = way.isFast && Exit.isExit(source) && Exit.isSuccess(source)
    this.socket = new StandIn(
      Socket.make({
        reader: this.counted(Effect.map(socket.reader, (reader) => ({
          ...reader,
          pull: Effect.tap(reader.pull, (chunks) =>
            Effect.sync(() => {
              for (const chunk of chunks) this.given(chunk.length)
            }))
        }))),
        writer: Effect.map(socket.writer, (writer) => ({
          write: (chunk) => {
            if (!Socket.isCloseEvent(chunk)) this.note([chunk])
            return writer.write(chunk)
          },
          writeAll: (chunks) => {
            this.note(chunks)
            return writer.writeAll(chunks)
          }
        }))
      }),
      isThere
        ? Exit.succeed(this.watched(source.value as Source, way.counts, true))
        : this.counted(Effect.map(source, (source) => this.watched(source, way.counts, false)))
    )
  }

  private counted<A, E>(open: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A, E, Scope.Scope> {
    return Effect.flatMap(Effect.scope, (scope) => {
      this.opened++
      return Effect.andThen(
        Scope.addFinalizer(
          scope,
          Effect.sync(() => {
            this.released++
          })
        ),
        open
      )
    })
  }

  private given(bytes: number): void {
    this.asked = this.pulled
    this.pulled += bytes
  }

  private note(chunks: Chunks): void {
    for (const chunk of chunks) this.written.push(bytesOf(chunk))
  }

  /** A connection that is there already has no scope that would count how often it is given up. */
  private watched(source: Source, counts: boolean, isThere: boolean): Source {
    // Not `...source`: what a class has it has from its prototype.
    return {
      get peer() {
        return source.peer
      },
      attach: (events) => {
        if (isThere) this.opened++
        source.attach({
          onBytes: (chunk) => {
            this.given(chunk.length)
            events.onBytes(chunk)
          },
          onEnd: (error) => events.onEnd(error)
        })
      },
      resume: () => source.resume(),
      pause: () => source.pause(),
      write: (chunks) =>
        Effect.suspend(() => {
          this.note(chunks)
          return source.write(chunks)
        }),
      ...(source.writeNow !== undefined && {
        writeNow: (chunks: Chunks) => {
          this.note(chunks)
          const waiting = source.writeNow!(chunks)
          if (waiting !== undefined) this.waited++
          return waiting
        }
      }),
      get room() {
        return source.room
      },
      endWrite: (isOver) => source.endWrite(isOver),
      onFlushed: (done) => source.onFlushed(done),
      abort: (error) => source.abort?.(error),
      destroy: () => {
        if (isThere) this.released++
        source.destroy?.()
      },
      ...(counts && { view: (unread: Codec.ByteBuffer) => this.view(unread) })
    }
  }

  private view(unread: Codec.ByteBuffer): Codec.ByteBuffer {
    const examine = (bytes: number) => {
      this.examined += bytes
    }
    return {
      get length() {
        return unread.length
      },
      at: (index) => {
        examine(1)
        return unread.at(index)
      },
      indexOf: (byte, from) => {
        const found = unread.indexOf(byte, from)
        examine((found === -1 ? unread.length : found + 1) - from)
        return found
      },
      lastIndexOf: (byte, from, to) => {
        const found = unread.lastIndexOf(byte, from, to)
        examine(to - (found === -1 ? from : found))
        return found
      },
      text: (from, to) => {
        examine(to - from)
        return unread.text(from, to)
      },
      peek: (from, to) => {
        examine(to - from)
        return unread.peek(from, to)
      },
      take: (length) => {
        examine(length)
        return unread.take(length)
      },
      skip: (length) => unread.skip(length)
    }
  }
}
