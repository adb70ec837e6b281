/**
 * What is encoded for a codec with a memory and not handed over yet.
 *
 * Such a codec encodes in the order in which the bytes are written. So all that is encoded ahead of its write waits in one
 * place, in order, and whoever writes next takes it along; and what is to be sent as a whole, or not at all, is encoded when
 * the turn to write it has come.
 *
 * | | the codec's memory | the wire |
 * |---|---|---|
 * | a frame was added | has it | has it not, and has nothing that was encoded behind it |
 * | the outbox was taken | has it | has it |
 * | the frame was refused, or withdrawn | as if it had never been asked | has it not |
 *
 * @internal
 */
import * as Result from "effect/Result"
import type * as Codec from "../../Codec.ts"
import { ByteWriter } from "../bytes/writer.ts"
import type { Outgoing } from "./connection.ts"

interface Waiting {
  readonly owner: object
  readonly encodeAgain: () => Result.Result<void, Codec.CodecError> | void
}

export class Outbox<in Out> extends ByteWriter {
  readonly encoder: Codec.Encoder<Out>
  private waiting: Array<Waiting> = []
  /** Takes the memory back to where it was before all that waits. */
  private undoAll: (() => void) | undefined = undefined
  private undoLast: (() => void) | undefined = undefined

  constructor(encoder: Codec.Encoder<Out>) {
    super()
    this.encoder = encoder
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0
  }

  override mark(): void {
    super.mark()
    this.undoLast = this.encoder.checkpoint()
    if (this.isEmpty) this.undoAll = this.undoLast
  }

  override reset(): void {
    super.reset()
    this.undoLast?.()
    this.undoLast = undefined
    if (this.isEmpty) this.undoAll = undefined
  }

  /** What was encoded since the mark stays, until it is taken or its owner has gone. */
  keep(frame: Out, owner: object): void {
    this.waiting.push({ owner, encodeAgain: () => this.encoder.encode(frame, this) })
    this.undoLast = undefined
  }

  override finish(): Array<string | Uint8Array> {
    this.waiting = []
    this.undoAll = this.undoLast = undefined
    return super.finish()
  }

  /** What waits, to be written now. */
  take(): Outgoing {
    const { undoAll } = this
    return { chunks: this.finish(), undo: () => undoAll?.() }
  }

  /** The frames of one who has gone are not sent. Those of others are encoded as if there had been no others. */
  withdraw(owner: object): void {
    const others = this.waiting.filter((waiting) => waiting.owner !== owner)
    if (others.length === this.waiting.length) return
    this.undoAll?.()
    this.finish()
    for (const other of others) {
      this.mark()
      const result = other.encodeAgain()
      if (result === undefined || Result.isSuccess(result)) this.waiting.push(other)
      else this.reset()
    }
  }
}
