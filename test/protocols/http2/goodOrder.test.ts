/**
 * A client and a server in good order, whose conversation is drawn by chance and is on its way in both directions: neither
 * finds anything wrong with the other, though nothing is let pass that was not earned.
 */
import { expect, it } from "@effect/vitest"
import * as Codec from "../../../src/Codec.ts"
import type * as Http2 from "../../../src/protocols/Http2.ts"
import { Connection } from "../../../src/protocols/http2/connection.ts"
import type { Role } from "../../../src/protocols/http2/role.ts"
import type { Sent } from "../../../src/protocols/http2/send.ts"

const maxStreams = 5

/** Numbers below 1, the same for the same seed. */
const drawing = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff
  return seed / 0x7fff_ffff
}

/** What a side may still say on a stream, and whether the other one may. */
interface Open {
  mine: boolean
  theirs: boolean
  isAnswered: boolean
}

class Side {
  readonly streams = new Map<number, Open>()
  readonly said: Array<Uint8Array> = []
  private readonly role: Role
  private readonly draw: () => number
  private readonly connection: Connection
  private last = 0
  private isLimited = false

  constructor(role: Role, draw: () => number) {
    this.role = role
    this.draw = draw
    this.connection = new Connection({
      role,
      limits: { maxHeaderBlock: 1024, maxContinuations: 0 },
      // The SETTINGS of the start.
      calm: { burst: 1, perSecond: 0 },
      extensions: new Set(),
      now: () => 0
    })
    this.say(
      role === "client"
        ? { _tag: "Start", settings: { enablePush: false } }
        : { _tag: "Announce", settings: { maxConcurrentStreams: maxStreams } }
    )
  }

  /** How many streams of the client there were. */
  get begun(): number {
    return (this.last + 1) / 2
  }

  say(frame: Sent): void {
    this.said.push(Codec.encodeAll(this.connection.codec, [frame]))
  }

  hear(bytes: Uint8Array): void {
    for (const frame of Codec.decodeAll(this.connection.codec, bytes)) this.take(frame as Http2.Frame)
  }

  private take(frame: Http2.Frame): void {
    switch (frame._tag) {
      case "Settings":
        this.connection.acknowledges(frame)
        this.isLimited = true
        return this.say({ _tag: "SettingsAck" })
      case "Ping":
        return this.say({ _tag: "Pong", data: frame.data })
      case "RstStream":
        return void this.streams.delete(frame.streamId)
      case "Headers":
        if (this.role === "server" && frame.streamId > this.last) {
          this.last = frame.streamId
          this.streams.set(frame.streamId, { mine: true, theirs: true, isAnswered: false })
        }
        return this.hearEnd(frame)
      case "Data":
        this.measure(frame)
        return this.hearEnd(frame)
      default:
    }
  }

  /** As peers do that measure bandwidth, and that give back what they have read at once. */
  private measure({ data, streamId }: Http2.Data): void {
    if (data.length === 0) return
    this.say({ _tag: "Ping", data: new Uint8Array(8) })
    for (const id of this.streams.has(streamId) ? [0, streamId] : [0]) {
      this.say({ _tag: "WindowUpdate", streamId: id, increment: data.length })
    }
  }

  private hearEnd({ endStream, streamId }: Http2.Data | Http2.Headers): void {
    const stream = this.streams.get(streamId)
    if (stream === undefined || !endStream) return
    stream.theirs = false
    if (!stream.mine) this.streams.delete(streamId)
  }

  act(): void {
    if (this.role === "client" && this.isLimited && this.streams.size < maxStreams && this.draw() < 0.3) {
      this.last = this.last === 0 ? 1 : this.last + 2
      this.streams.set(this.last, { mine: true, theirs: true, isAnswered: true })
      return this.sayHeaders(this.last, this.draw() < 0.5)
    }
    const ids = Array.from(this.streams.keys())
    if (ids.length > 0) this.goOn(ids[Math.floor(this.draw() * ids.length)])
  }

  private goOn(id: number): void {
    const { isAnswered, mine } = this.streams.get(id)! // one of those that there are
    const chance = this.draw()
    if (chance < 0.1 && this.role === "server") {
      this.streams.delete(id)
      this.say({ _tag: "RstStream", streamId: id, code: isAnswered ? 8 : 7 })
    } else if (mine && !isAnswered) {
      this.streams.get(id)!.isAnswered = true
      this.sayHeaders(id, chance < 0.4)
    } else if (mine && chance < 0.7) {
      const length = Math.min(1 + Math.floor(this.draw() * 200), this.connection.sendWindow)
      if (length > 0) this.say({ _tag: "Data", streamId: id, data: new Uint8Array(length), endStream: false })
    } else if (mine && chance < 0.9) {
      this.say({ _tag: "Data", streamId: id, data: new Uint8Array(0), endStream: true })
      this.sayEnd(id)
    } else if (mine) this.sayHeaders(id, true)
  }

  private sayHeaders(streamId: number, endStream: boolean): void {
    this.say({ _tag: "Headers", streamId, fragment: Uint8Array.of(0x82), endStream, endHeaders: true })
    if (endStream) this.sayEnd(streamId)
  }

  private sayEnd(streamId: number): void {
    const stream = this.streams.get(streamId)! // it has just been said on it
    stream.mine = false
    if (!stream.theirs) this.streams.delete(streamId)
  }
}

it("a client and a server in good order find nothing wrong with each other, whatever is on its way", () => {
  let streams = 0
  for (let seed = 1; seed <= 20; seed++) {
    const draw = drawing(seed)
    const client = new Side("client", draw)
    const server = new Side("server", draw)
    for (let step = 0; step < 1000; step++) {
      const [here, there] = draw() < 0.5 ? [client, server] : [server, client]
      if (draw() < 0.4) here.act()
      else for (const bytes of there.said.splice(0, 1 + Math.floor(draw() * 3))) here.hear(bytes)
    }
    streams += server.begun
  }
  expect(streams).toBeGreaterThan(500)
})
