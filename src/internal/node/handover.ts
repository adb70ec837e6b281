/**
 * Connections on their way from the primary to a worker.
 *
 * `node:cluster` waits for the worker's word that it has taken a connection before it lets go of its own descriptor and
 * gives that worker the next one. Nothing comes where the worker dies before it has read, or has no descriptor left to
 * receive one with: then the connection stays open for ever, and in the second case the worker gets no other one. So this
 * listens to what the two say to each other, and gives the word in the worker's place. What the messages are called is
 * Node's own business, and has been the same since Node 0.12; of messages that are called otherwise nothing is known here,
 * and nothing is done.
 *
 * | a connection | arrives | does not arrive (no descriptor) | is taken | is not for long | the worker's end |
 * |---|---|---|---|---|---|
 * | on its way | arrived | closed | gone | cut off | closed |
 * | arrived | | | gone | cut off | closed |
 * | cut off | | closed | gone, whatever it says | | closed |
 *
 * One that is cut off is still the worker's to take from the channel. It hears no more of it than its end, and is given
 * nothing until it has done so: it does not take anything now.
 *
 * @internal
 */
import * as NodeNet from "node:net"

/** Why a connection that was accepted was closed before a worker had it. */
export type Loss = "no-descriptor" | "silent" | "died"

/** What can be closed: a connection as Node has it below its sockets. */
export interface Handle {
  readonly close: () => void
}

/** What is done with a connection that is lost. */
export interface Hands<H> {
  /** Tells the primary in the worker's place that it has taken this one: it closes its own, and gives the worker the next. */
  readonly taken: (seq: number) => void
  /** Ends the connection for both sides, also for the one that may hold it too. */
  readonly cut: (handle: H) => void
  /** Calls it after the time that a worker may take; what is returned calls it off. */
  readonly later: (then: () => void) => () => void
  readonly lost: (why: Loss) => void
}

interface Entry<H> {
  readonly handle: H
  readonly callOff: () => void
  cut: boolean
}

/** How long a worker may take to take a connection: as long as it has for a handshake, unless told otherwise. */
export const takeTimeout = 10_000

const field = (message: unknown, name: string): unknown =>
  typeof message === "object" && message !== null ? Reflect.get(message, name) : undefined

/** The connections that one worker was handed and has not taken. */
export class Handover<H> {
  private readonly hands: Hands<H>
  private readonly handed = new Map<number, Entry<H>>()
  // Descriptors travel one at a time: each has arrived, or has not, before the next one leaves.
  private readonly travelling: Array<number | undefined> = []

  constructor(hands: Hands<H>) {
    this.hands = hands
  }

  /** The primary says this to the worker, and hands it `handle`. */
  sent(message: unknown, handle: H): void {
    const seq = field(message, "seq")
    if (field(message, "act") !== "newconn" || typeof seq !== "number") {
      this.travelling.push(undefined)
      return
    }
    this.travelling.push(seq)
    this.handed.set(seq, { handle, callOff: this.hands.later(() => this.cutOff(seq)), cut: false })
  }

  /** The worker says this to the primary, which has not heard it yet. */
  received(message: unknown): void {
    switch (field(message, "cmd")) {
      case "NODE_HANDLE_ACK":
        this.travelling.shift()
        return
      case "NODE_HANDLE_NACK": {
        const seq = this.travelling.shift()
        if (seq !== undefined) this.close(seq, "no-descriptor")
        return
      }
      case "NODE_CLUSTER": {
        const seq = field(message, "ack")
        const entry = typeof seq === "number" ? this.handed.get(seq) : undefined
        if (entry === undefined) return
        // Given to another one it would be of no use to that either.
        if (entry.cut) Reflect.set(Object(message), "accepted", true)
        entry.callOff()
        this.handed.delete(seq as number) // looked up as a number above
      }
    }
  }

  /** The worker is gone, and says no more. */
  ended(): void {
    for (const seq of this.handed.keys()) this.close(seq, "died")
  }

  private cutOff(seq: number): void {
    const entry = this.handed.get(seq)
    if (entry === undefined) return
    entry.cut = true
    this.hands.cut(entry.handle)
    this.hands.lost("silent")
  }

  private close(seq: number, why: Loss): void {
    const entry = this.handed.get(seq)
    if (entry === undefined) return
    this.handed.delete(seq)
    entry.callOff()
    if (!entry.cut) this.hands.lost(why)
    this.hands.taken(seq)
  }
}

/** What is used of a `ChildProcess` of `node:cluster`. */
interface Child {
  readonly connected: boolean
  send?: (...args: Array<never>) => boolean
  emit(event: string, message?: unknown): boolean
  prependListener(event: string, listener: (message: unknown) => void): unknown
  once(event: string, listener: () => void): unknown
}

/** How often it is looked whether the last words of a worker that is gone have been read. */
const lastWords = 10

/** Watches over all connections that the primary hands to this worker. */
export const watch = (child: Child, lost: (why: Loss) => void): void => {
  const handover = new Handover<Handle>({
    taken: (seq) => child.emit("internalMessage", { cmd: "NODE_CLUSTER", ack: seq, accepted: true }),
    // To close this side's descriptor would leave the connection with whoever holds the other one.
    cut: (handle) => {
      const options = { handle, allowHalfOpen: true, pauseOnCreate: true } as unknown // its types know no such options
      new NodeNet.Socket(options as NodeNet.SocketConstructorOpts).on("error", () => {}).destroySoon()
    },
    later: (then) => {
      const timer = setTimeout(then, takeTimeout).unref()
      return () => clearTimeout(timer)
    },
    lost
  })
  const sendAsIs = child.send as ((...args: ReadonlyArray<unknown>) => boolean) | undefined // called with what it was called with
  if (sendAsIs === undefined) return
  const send = (...args: ReadonlyArray<unknown>) => {
    const [message, handle] = args
    if (typeof handle === "object" && handle !== null) handover.sent(message, handle as Handle) // Node knows no other
    return sendAsIs.apply(child, [...args])
  }
  child.send = send
  child.prependListener("internalMessage", (message) => handover.received(message))
  let disconnected = false
  child.once("disconnect", () => {
    disconnected = true
  })
  const ended = (): void => {
    // Before the end of the channel was read the primary would hand it more.
    if (child.connected) {
      setTimeout(ended, lastWords).unref()
      return
    }
    // Node does not say so where a descriptor was on its way, and would then go on giving this worker connections.
    if (!disconnected) child.emit("disconnect")
    handover.ended()
  }
  child.once("exit", ended)
}
