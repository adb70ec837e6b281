/**
 * Writes frames in batches, one write after the other. A write that need not wait costs no fiber.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { TransportError } from "../../TransportError.ts"
import { borrow, type ByteWriter, giveBack } from "../bytes/writer.ts"
import type { Surroundings } from "../connection/onEvents.ts"
import type { TransportImpl } from "../connection/transport.ts"

/** How many frames go into one write at most, however many are ready at once, behind those that a body has begun with. */
export const maxBatch = 1024

/** The sending half of a transport. */
type Sender<Out> = Pick<TransportImpl<unknown, Out>, "connection" | "encode" | "encodeAll" | "outbox" | "writeOutbox">

/** Who is told when a write that had to wait is over, one way or the other. */
export interface Writing {
  onWritten(): void
}

export class BatchWriter<Out> {
  /** How many frames the next write will have. */
  size = 0
  /** Why no more can be written. */
  failure: Exit.Exit<never, TransportError> | undefined = undefined
  private readonly impl: Sender<Out>
  private readonly surroundings: Surroundings<never>
  private readonly writing: Writing
  private begun: ByteWriter | undefined = undefined
  private waiting: Fiber.Fiber<void, TransportError> | undefined = undefined

  constructor(impl: Sender<Out>, surroundings: Surroundings<never>, writing: Writing) {
    this.impl = impl
    this.surroundings = surroundings
    this.writing = writing
  }

  /** Whether a write waits for its peer. Nothing more can be written meanwhile. */
  get isWaiting(): boolean {
    return this.waiting !== undefined
  }

  private get batch(): ByteWriter {
    return this.impl.outbox ?? (this.begun ??= borrow())
  }

  /** Adds a frame to the batch, or returns why it is none. Throws what its codec throws, and adds nothing then. */
  add(frame: Out): TransportError | undefined {
    const { batch } = this
    try {
      const unencodable = this.impl.encode(frame, batch)
      if (unencodable !== undefined) return unencodable
      this.size++
      this.impl.outbox?.keep(frame, this)
      return undefined
    } catch (defect) {
      batch.reset()
      throw defect
    }
  }

  /** Adds frames, all at once where the codec can, up to the first one that is none, and returns or throws why. */
  addAll(frames: ReadonlyArray<Out>): TransportError | undefined {
    if (this.impl.outbox !== undefined) return this.addEach(frames)
    const { batch } = this
    this.size += frames.length
    batch.mark()
    try {
      return this.impl.encodeAll(frames, batch)
    } catch (defect) {
      batch.reset()
      throw defect
    }
  }

  // One that is none behind others leaves those in the batch, as above.
  private addEach(frames: ReadonlyArray<Out>): TransportError | undefined {
    for (const frame of frames) {
      const unencodable = this.add(frame)
      if (unencodable !== undefined) return unencodable
    }
    return undefined
  }

  /** Writes the batch. Behind a write that has failed nothing is written. */
  write(): void {
    this.size = 0
    if (this.failure !== undefined) return
    const left = this.begin()
    if (left === undefined) return
    const waiting = Effect.runForkWith(this.surroundings.context)(left)
    const exit = waiting.pollUnsafe()
    if (exit !== undefined) return this.written(exit)
    this.waiting = waiting
    waiting.addObserver((exit) => {
      this.waiting = undefined
      this.written(exit)
      this.writing.onWritten()
    })
  }

  private begin(): Effect.Effect<void, TransportError> | undefined {
    const { connection, outbox } = this.impl
    if (outbox !== undefined) return outbox.isEmpty ? undefined : this.impl.writeOutbox(outbox)
    const batch = this.begun
    if (batch === undefined) return undefined
    const chunks = batch.finish()
    this.begun = undefined
    giveBack(batch)
    return chunks.length === 0 ? undefined : connection.writeNow(chunks)
  }

  private written(exit: Exit.Exit<void, TransportError>): void {
    if (Exit.isFailure(exit)) this.failure ??= Exit.failCause(exit.cause)
  }

  /** Gives up the write that waits, and what was added since. */
  stop(): void {
    this.waiting?.interruptUnsafe()
    this.impl.outbox?.withdraw(this)
  }
}
