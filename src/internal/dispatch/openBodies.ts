/**
 * The bodies that are received over one connection at once, and have not ended.
 *
 * @internal
 */
import type * as Exit from "effect/Exit"
import type { TransportError } from "../../TransportError.ts"
import type { BodyPart, Inlet } from "./body.ts"

export class OpenBodies<Chunk, Failure> {
  private readonly inlets = new Set<Inlet<Chunk, Failure>>()

  get size(): number {
    return this.inlets.size
  }

  add(inlet: Inlet<Chunk, Failure>): void {
    this.inlets.add(inlet)
  }

  delete(inlet: Inlet<Chunk, Failure>): void {
    this.inlets.delete(inlet)
  }

  /** Takes what has come of one of them. False for a chunk that has to wait for room. */
  accept(inlet: Inlet<Chunk, Failure>, part: BodyPart<Chunk, Failure>): boolean {
    if (part._tag !== "Chunk") this.inlets.delete(inlet)
    return inlet.accept(part)
  }

  /** Whether somebody waits for chunks of one of them. */
  get isAwaited(): boolean {
    for (const inlet of this.inlets) if (inlet.isAwaited) return true
    return false
  }

  /** How many frames may be taken so that only the last one may have to wait, when a new body has room for so many chunks. */
  room(bodyBuffer: number): number {
    let room = bodyBuffer
    for (const inlet of this.inlets) room = Math.min(room, inlet.room)
    return room + 1
  }

  /** Nothing more comes of any of them. */
  end(how: Exit.Exit<never, TransportError>): void {
    for (const inlet of this.inlets) inlet.end(how)
    this.inlets.clear()
  }
}
