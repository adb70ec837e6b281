/**
 * One direction of a simulated connection: a pure state machine. There is no Effect in it and no clock; whoever drives it
 * says what time it is.
 *
 *     write -> queue -> in flight -> received -> take
 *
 * The queue is the sender's buffer; what is in flight and what was received share the receiver's. A segment departs when
 * the link is free and the receiver has room for it. Nothing overtakes.
 *
 * The sending side:
 *
 * | state   | write  | end                             | abort                                                     |
 * |---------|--------|---------------------------------|-----------------------------------------------------------|
 * | open    | queued | ending                          | aborted: the queue is lost, a reset departs at once       |
 * | ending  | lost   | same; ended when the end departs | aborted                                                  |
 * | ended   | lost   | same                            | aborted                                                   |
 * | aborted | lost   | same                            | same                                                      |
 *
 * The receiving side:
 *
 * | state  | bytes arrive            | the end arrives | a reset arrives | take              | close  |
 * |--------|-------------------------|-----------------|-----------------|-------------------|--------|
 * | open   | received                | ended           | closed          | what was received | closed |
 * | ended  | lost                    | same            | closed          | the rest          | closed |
 * | closed | lost, and `onUnwanted`  | same            | same            | the rest          | same   |
 *
 * Faults strike the receiving side when their byte has arrived: an end is an end, a reset is a reset, and while it is
 * stalled nothing arrives.
 *
 * @internal
 */
import { concat } from "../../internal/bytes/primitives.ts"
import { Fifo } from "./networkFifo.ts"

/** What befalls a direction when so many of its bytes have arrived. */
export interface Strike {
  readonly after: number
  readonly how: "end" | "reset" | "resetLosing" | "stall"
  /** How long a stall lasts. */
  readonly lasts: number
}

/** The conditions of one direction, with its share of the seed. Any unit of time will do. */
export interface Rules {
  /** How long the next segment may become. */
  readonly segment: () => number
  /** How long the next segment, end or reset travels once it has departed. */
  readonly travel: () => number
  /** Bytes per unit of time. */
  readonly rate: number
  readonly sendBuffer: number
  readonly receiveBuffer: number
  /** In the order in which they strike. */
  readonly strikes: ReadonlyArray<Strike>
}

/** How a wire tells its ends what has happened. It is told in the middle of things: to look is safe, to act is not. */
interface WireEvents {
  readonly onSegment: (length: number, at: number) => void
  readonly onEnd: (at: number) => void
  /** Losing: what was received is lost. Struck: it was no reset of the sender's. */
  readonly onReset: (losing: boolean, struck: boolean, at: number) => void
  readonly onStall: (at: number) => void
  /** Bytes have come that nobody will take. */
  readonly onUnwanted: (at: number) => void
}

type Flying =
  & { readonly at: number }
  & (
    | { readonly _tag: "Bytes"; bytes: Uint8Array; readonly length: number }
    | { readonly _tag: "End" }
    | { readonly _tag: "Reset"; readonly losing: boolean }
  )

/** What one take takes: bytes that have joined while they waited, and how many more may. */
interface Segment {
  readonly pieces: Array<Uint8Array>
  room: number
}

export class Wire {
  /** How many bytes were written and have not departed. */
  queued = 0
  /** How many bytes have arrived and were not taken. */
  received = 0
  private readonly rules: Rules
  private readonly events: WireEvents
  private sending: "open" | "ending" | "ended" | "aborted" = "open"
  private receiving: "open" | "ended" | "closed" = "open"
  private readonly queue = new Fifo<Uint8Array>()
  private readonly flight = new Fifo<Flying>()
  private readonly segments = new Fifo<Segment>()
  private flying = 0
  private arrived = 0
  /** How many faults have struck. */
  private struck = 0
  /** When the last byte that has departed has left the sender. */
  private freeAt = 0
  /** When what has departed last arrives. */
  private lastAt = 0
  private stalledUntil = 0

  constructor(rules: Rules, events: WireEvents) {
    this.rules = rules
    this.events = events
  }

  /** How many bytes are somewhere between the write and the take. */
  get held(): number {
    return this.queued + this.flying + this.received
  }

  /** Whether whoever writes has to wait until the queue is empty. */
  get isFull(): boolean {
    return this.queued > 0 && this.queued >= this.rules.sendBuffer
  }

  /** The connection is there. */
  open(now: number): void {
    this.strike(now)
  }

  /** Accepts all of it. The bytes are the wire's from now on. */
  write(bytes: Uint8Array, now: number): void {
    if (bytes.length === 0 || this.sending !== "open") return
    this.queue.push(bytes)
    this.queued += bytes.length
    this.depart(now)
  }

  /** Ends behind what was written. */
  end(now: number): void {
    if (this.sending === "open") this.sending = "ending"
    this.depart(now)
  }

  /** Resets the other end behind what has departed. */
  abort(losing: boolean, now: number): void {
    if (this.sending === "aborted") return
    this.cut()
    this.launch({ _tag: "Reset", losing, at: this.arrivalOf(now) }, now)
  }

  /** Sends no more, not even an end. */
  cut(): void {
    this.forget()
    this.sending = "aborted"
  }

  /** Loses what has not departed. */
  forget(): void {
    this.queue.clear()
    this.queued = 0
  }

  /** The next segment, if one has arrived. */
  take(now: number): Uint8Array | undefined {
    if (this.segments.length === 0) return undefined
    const bytes = concat(this.segments.shift().pieces)
    this.received -= bytes.length
    this.depart(now)
    return bytes
  }

  /** No more is received. What was can still be taken. */
  close(): void {
    this.receiving = "closed"
  }

  /** Loses what was received. */
  drop(): void {
    this.segments.clear()
    this.received = 0
  }

  /** When something happens next by itself. */
  get due(): number {
    return this.canDepart ? Math.min(this.landing, this.freeAt) : this.landing
  }

  /** Lets happen what is due by now, in the order of its times. */
  advance(now: number): void {
    for (let at = this.due; at <= now; at = this.due) {
      if (this.landing <= at) this.land(at)
      else this.depart(at)
    }
  }

  /** When the next of what is in flight arrives, or a fault strikes that has waited for the end of a stall. */
  private get landing(): number {
    if (this.untilStrike <= 0) return this.stalledUntil
    return this.flight.length === 0 ? Infinity : Math.max(this.flight.first.at, this.stalledUntil)
  }

  private get room(): number {
    // What nobody will take need not be held.
    return this.receiving === "closed" ? Infinity : this.rules.receiveBuffer - this.flying - this.received
  }

  private get canDepart(): boolean {
    return this.queued > 0 ? this.room > 0 : this.sending === "ending"
  }

  private depart(now: number): void {
    while (this.canDepart && this.freeAt <= now) {
      if (this.queued === 0) {
        this.sending = "ended"
        return this.launch({ _tag: "End", at: this.arrivalOf(now) }, now)
      }
      const length = this.rules.segment()
      const bytes = this.dequeue(Math.min(length, this.queued, this.room))
      this.freeAt = now + bytes.length / this.rules.rate
      this.flying += bytes.length
      this.launch({ _tag: "Bytes", bytes, length, at: this.arrivalOf(this.freeAt) }, now)
    }
  }

  private dequeue(length: number): Uint8Array {
    const pieces: Array<Uint8Array> = []
    let missing = length
    while (missing > 0) {
      const { first } = this.queue
      pieces.push(first.subarray(0, missing))
      if (first.length > missing) this.queue.first = first.subarray(missing)
      else this.queue.shift()
      missing -= Math.min(missing, first.length)
    }
    this.queued -= length
    return concat(pieces)
  }

  private arrivalOf(departed: number): number {
    this.lastAt = Math.max(this.lastAt, departed + this.rules.travel())
    return this.lastAt
  }

  private launch(item: Flying, now: number): void {
    this.flight.push(item)
    // What takes no time is there at once.
    while (this.landing <= now) this.land(now)
  }

  private land(at: number): void {
    if (this.untilStrike <= 0) return this.strike(at)
    const item = this.flight.first
    if (item._tag === "Bytes") {
      // A fault strikes between two bytes: those behind it are still on their way.
      const bytes = item.bytes.subarray(0, this.untilStrike)
      if (bytes.length === item.bytes.length) this.flight.shift()
      else item.bytes = item.bytes.subarray(bytes.length)
      this.flying -= bytes.length
      return this.arrive(bytes, item.length, at)
    }
    this.flight.shift()
    if (item._tag === "End") this.finish(at)
    else this.reset(item.losing, false, at)
  }

  private arrive(bytes: Uint8Array, length: number, at: number): void {
    if (this.receiving === "closed") return this.events.onUnwanted(at)
    if (this.receiving === "ended") return
    this.arrived += bytes.length
    this.received += bytes.length
    this.join(bytes, length)
    this.events.onSegment(bytes.length, at)
    this.strike(at)
  }

  /** What was cut short for want of bytes takes in what comes before it is taken. */
  private join(bytes: Uint8Array, length: number): void {
    const { last } = this.segments
    const joining = Math.min(last?.room ?? 0, bytes.length)
    if (last !== undefined && joining > 0) {
      last.pieces.push(bytes.subarray(0, joining))
      last.room -= joining
    }
    if (joining === bytes.length) return
    const rest = bytes.subarray(joining)
    this.segments.push({ pieces: [rest], room: length - rest.length })
  }

  private finish(at: number): void {
    if (this.receiving !== "open") return
    this.receiving = "ended"
    this.events.onEnd(at)
  }

  private reset(losing: boolean, struck: boolean, at: number): void {
    this.receiving = "closed"
    this.events.onReset(losing, struck, at)
  }

  /** How many bytes may arrive before the next fault. */
  private get untilStrike(): number {
    const next = this.rules.strikes[this.struck]
    return next === undefined || this.receiving !== "open" ? Infinity : next.after - this.arrived
  }

  private strike(at: number): void {
    while (this.untilStrike <= 0 && this.stalledUntil <= at) {
      const { how, lasts } = this.rules.strikes[this.struck]
      this.struck++
      if (how === "end") this.finish(at)
      else if (how !== "stall") this.reset(how === "resetLosing", true, at)
      else {
        this.stalledUntil = Math.max(this.stalledUntil, at + lasts)
        this.events.onStall(at)
      }
    }
  }
}
