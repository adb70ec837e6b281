/**
 * A simulated connection: two wires, and the rules by which each end ties its two together. Pure, as `wire.ts` is.
 *
 * The rules are those of Effect's sockets on Node, observed on loopback (`test/conformance`). An end is open, and may be
 * `ended` (it sends no more), `closing` (its reader is closed, what it has sent is still to be flushed) and at last
 * `destroyed`:
 *
 * | at an open end                  | becomes                  | pulls then                            | the peer gets                    |
 * |---------------------------------|--------------------------|---------------------------------------|----------------------------------|
 * | `end`                           | ended                    | go on                                 | the end, behind the queue        |
 * | the peer's end, all before taken | not half-open: ended    | 1000                                  | not half-open: the end           |
 * | both of these                   | destroyed                | 1000                                  |                                  |
 * | `write` after `end`             | destroyed                | fail, what was received is lost       | the end, the queue is lost       |
 * | `close`                         | ended, closing; destroyed when the queue is empty | 1006         | the end, behind the queue        |
 * | `destroy`                       | destroyed                | what was received, then 1000          | the end, the queue is lost       |
 * | a reset                         | destroyed                | ECONNRESET, what was received is lost |                                  |
 * | a reset behind the peer's end   | no different, until it writes: destroyed | EPIPE, what was received is lost |                  |
 *
 * Bytes that arrive at a destroyed end are answered with a reset. An end that is destroyed with more unread than Node
 * reads ahead resets too. Harsh resets are those of other systems: they do not wait for a write, and anything unread
 * will do.
 *
 * @internal
 */
import { type Rules, Wire } from "./wire.ts"

export type Side = "client" | "server"

interface EndRules {
  readonly halfOpen: boolean
  readonly harshResets: boolean
}

export interface LinkRules extends EndRules {
  readonly toServer: Rules
  readonly toClient: Rules
}

/** What has arrived at a side. */
export type Arrival =
  | { readonly _tag: "Bytes"; readonly to: Side; readonly length: number }
  | { readonly _tag: "End"; readonly to: Side }
  | { readonly _tag: "Reset"; readonly to: Side; readonly lost: number }
  | { readonly _tag: "Stall"; readonly to: Side }

/** Why nothing more can be pulled: it is closed with this code, or cannot be read for this error. */
export type Failure =
  | { readonly _tag: "Closed"; readonly code: number }
  | { readonly _tag: "Broken"; readonly error: Error }

/** An error with the code and the message that Node gives it. */
export const systemError = (code: string, message: string): Error => Object.assign(new Error(message), { code })

const endedByPeer: Failure = { _tag: "Closed", code: 1000 }
const closedHere: Failure = { _tag: "Closed", code: 1006 }

const brokenPipe = () => systemError("EPIPE", "write EPIPE")

/** Node reads that much into its own memory, where it is not unread for the system. */
const readAhead = 64 * 1024

export class End {
  destroyed = false
  /** The error that has destroyed it. */
  error: Error | undefined = undefined
  private readonly incoming: Wire
  private readonly outgoing: Wire
  private readonly rules: EndRules
  private failure: Failure | undefined = undefined
  private ended = false
  private closing = false
  private endHasArrived = false
  private wasReset = false

  constructor(incoming: Wire, outgoing: Wire, rules: EndRules) {
    this.incoming = incoming
    this.outgoing = outgoing
    this.rules = rules
  }

  /** Whether nobody can read from it any more. */
  get isClosed(): boolean {
    return this.closing || this.destroyed
  }

  /** Whether whoever writes has to wait until it is drained. */
  get isFull(): boolean {
    return this.outgoing.isFull
  }

  get isDrained(): boolean {
    return !this.ended && this.outgoing.queued === 0
  }

  /** Bytes, or why there will be none, or nothing yet. */
  take(now: number): Uint8Array | Failure | undefined {
    if (this.closing) return closedHere
    const bytes = this.incoming.take(now)
    if (bytes === undefined) return this.failure
    this.noticeEnd(now)
    return bytes
  }

  /** Returns why it cannot, if it cannot. The bytes are the connection's from now on. */
  write(bytes: Uint8Array, now: number): Error | undefined {
    if (!this.ended && !this.wasReset) {
      this.outgoing.write(bytes, now)
      // What this write may have brought upon the connection is for the next one to tell.
      return undefined
    }
    if (this.ended) this.fail(systemError("ERR_STREAM_WRITE_AFTER_END", "write after end"), now)
    else this.breakDown(brokenPipe(), true)
    return this.error
  }

  end(now: number): void {
    if (this.ended) return
    this.ended = true
    this.outgoing.end(now)
  }

  close(now: number): void {
    this.closing = true
    this.end(now)
  }

  destroy(now: number): void {
    if (this.destroyed) return
    this.destroyed = true
    this.ended = true
    this.failure ??= endedByPeer
    this.incoming.close()
    this.outgoing.forget()
    const isUnread = this.incoming.received >= (this.rules.harshResets ? 1 : readAhead)
    if (isUnread) this.outgoing.abort(true, now)
    else this.outgoing.end(now)
  }

  /** Destroys it for an error of its own. */
  fail(error: Error, now: number): void {
    this.failure ??= { _tag: "Broken", error }
    this.error = error
    this.destroy(now)
    this.incoming.drop()
  }

  /** What has become due at an end whose queue is empty. */
  settle(now: number): void {
    if (this.destroyed || this.outgoing.queued > 0) return
    if (this.closing || (this.ended && this.failure !== undefined)) this.destroy(now)
  }

  onEnd(now: number): void {
    this.endHasArrived = true
    this.noticeEnd(now)
  }

  /** Returns how many bytes it has lost. */
  onReset(losing: boolean): number {
    this.wasReset = true
    // Node stops to read at the peer's end, and learns of what comes behind it when it writes.
    const isLate = this.endHasArrived && !this.rules.harshResets
    if (isLate && this.outgoing.queued === 0) return 0
    const before = this.incoming.received
    this.breakDown(isLate ? brokenPipe() : systemError("ECONNRESET", "read ECONNRESET"), losing)
    return before - this.incoming.received
  }

  onUnwanted(now: number): void {
    this.outgoing.abort(true, now)
  }

  /** The end of the peer counts when all before it was taken. */
  private noticeEnd(now: number): void {
    if (!this.endHasArrived || this.incoming.received > 0) return
    this.failure ??= endedByPeer
    if (!this.rules.halfOpen) this.end(now)
  }

  private breakDown(error: Error, losing: boolean): void {
    if (this.destroyed) return
    this.destroyed = true
    this.ended = true
    this.failure ??= { _tag: "Broken", error }
    this.error = error
    this.incoming.close()
    this.outgoing.cut()
    if (losing) this.incoming.drop()
  }
}

export class Link {
  readonly client: End
  readonly server: End
  private readonly toServer: Wire
  private readonly toClient: Wire

  constructor(rules: LinkRules, onArrival: (arrival: Arrival, at: number) => void) {
    const wire = (rules: Rules, to: Side): Wire =>
      new Wire(rules, {
        onSegment: (length, at) => onArrival({ _tag: "Bytes", to, length }, at),
        onEnd: (at) => {
          onArrival({ _tag: "End", to }, at)
          this[to].onEnd(at)
        },
        onReset: (losing, struck, at) => {
          // What strikes a connection hits both of its ends.
          if (struck) (to === "server" ? this.toClient : this.toServer).abort(losing, at)
          onArrival({ _tag: "Reset", to, lost: this[to].onReset(losing) }, at)
        },
        onStall: (at) => onArrival({ _tag: "Stall", to }, at),
        onUnwanted: (at) => this[to].onUnwanted(at)
      })
    this.toServer = wire(rules.toServer, "server")
    this.toClient = wire(rules.toClient, "client")
    this.client = new End(this.toClient, this.toServer, rules)
    this.server = new End(this.toServer, this.toClient, rules)
  }

  open(now: number): void {
    this.toServer.open(now)
    this.toClient.open(now)
  }

  /** When something happens next by itself. */
  get due(): number {
    return Math.min(this.toServer.due, this.toClient.due)
  }

  /** Lets happen what is due by now, and what follows from it. */
  advance(now: number): void {
    this.settle(now)
    for (let at = this.due; at <= now; at = this.due) {
      this.toServer.advance(at)
      this.toClient.advance(at)
      this.settle(at)
    }
  }

  private settle(now: number): void {
    this.client.settle(now)
    this.server.settle(now)
  }
}
