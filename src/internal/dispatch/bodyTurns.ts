/**
 * The bodies that are sent over one connection at once, and take turns.
 *
 * @internal
 */
import type { Outlet } from "./body.ts"

interface Sender {
  readonly outlet: Pick<Outlet<never, unknown, never>, "hasChunks"> | undefined
  /** Whether its body waits for its turn. */
  isQueued: boolean
}

export class BodyTurns<S extends Sender> {
  private readonly queue: Array<S> = []
  private readonly hasRoom: () => boolean
  /** Sends what is next of a body. False where nothing follows. */
  private readonly send: (sender: S) => boolean

  constructor(hasRoom: () => boolean, send: (sender: S) => boolean) {
    this.hasRoom = hasRoom
    this.send = send
  }

  get isEmpty(): boolean {
    return this.queue.length === 0
  }

  /** A body has something to send. False where it waits for its turn already. */
  add(sender: S): boolean {
    if (sender.isQueued) return false
    sender.isQueued = true
    this.queue.push(sender)
    return true
  }

  /** A turn for each body that waits for one. */
  give(): void {
    for (let turns = this.queue.length; turns > 0 && this.hasRoom(); turns--) {
      const sender = this.queue.shift()
      if (sender === undefined) return
      // It stays in the queue for as long as it has its turn, so that its own news does not bring it there again.
      sender.isQueued = this.send(sender) && sender.outlet?.hasChunks === true
      if (sender.isQueued) this.queue.push(sender)
    }
  }

  clear(): void {
    this.queue.length = 0
  }
}
