/**
 * What an HTTP/2 connection knows, without any IO: how it starts, what may come and go, the settings of both sides and when
 * they take effect, the windows of the connection, and how much a peer may ask for.
 *
 * @internal
 */
import * as Result from "effect/Result"
import * as Codec from "../../Codec.ts"
import * as Frame from "./frame.ts"
import { type Options, Receiving } from "./receive.ts"
import { largestOf, peerOf, type Role } from "./role.ts"
import { Sending, type Sent } from "./send.ts"
import type * as Settings from "./settings.ts"
import { type Received, Starting } from "./start.ts"

export const describe = (frame: Received | Sent): string => {
  switch (frame._tag) {
    case "Preface":
      return "the connection preface"
    case "Start":
      return `the connection preface and ${describeSettings(frame.settings)}`
    case "Announce":
      return describeSettings(frame.settings)
    case "Stranger":
      return frame.received
    default:
      return Frame.describe(frame)
  }
}

const describeSettings = (settings: Partial<Settings.Settings>) => Frame.describe({ _tag: "Settings", settings })

/** One connection, and its codec. */
export class Connection {
  readonly role: Role
  readonly codec: Codec.Codec<Received, Sent>
  /** Called when the peer breaks the rules. Nothing is decoded behind that, so it is once. */
  onViolation: ((error: Codec.CodecError) => void) | undefined = undefined
  private readonly receiving: Receiving
  private readonly sending: Sending

  constructor(options: Options) {
    this.role = options.role
    this.receiving = new Receiving(options, () => this.sending.said)
    this.sending = new Sending(options.role, this.receiving, options.now)
    const starting = new Starting(options.role, this.receiving)
    const decode = (input: Codec.ByteBuffer) => {
      const result = starting.decode(input)
      if (result !== undefined && Result.isFailure(result)) this.onViolation?.(result.failure)
      return result
    }
    // Made for one connection, as both halves know of each other.
    this.codec = Codec.make<Received, Sent>({
      maxLength: Infinity, // the decoder has its limits
      decoder: () => ({ decode }),
      encoder: () => this.sending
    })
  }

  /** The last stream that the peer has begun, unless this side has said already that it takes fewer. */
  get lastPeerStream(): number {
    return Math.min(this.receiving.lastStream, this.sending.said.lastGoAway)
  }

  /** The last one that it may begin. */
  get largestPeerStream(): number {
    return this.receiving.takesStreams
      ? Math.min(largestOf(peerOf(this.role)), this.sending.said.lastGoAway)
      : this.lastPeerStream
  }

  /** How many bytes of DATA may be sent, and may come. */
  get sendWindow(): number {
    return this.receiving.sendWindow
  }

  get receiveWindow(): number {
    return this.receiving.receiveWindow
  }

  /** What this side has announced. */
  get local(): Settings.Settings {
    return this.sending.said.local
  }

  /** What the peer has announced and this side has acknowledged, or is about to. */
  get remote(): Settings.Settings {
    return this.receiving.remote
  }

  /** Whether anything was announced yet. */
  get hasAnnounced(): boolean {
    return this.sending.said.announcements > 0
  }

  /** Whether the peer has acknowledged all that was announced. */
  get isAcknowledged(): boolean {
    return this.receiving.pending.length === 0
  }

  /** Since when the oldest announcement waits to be acknowledged. */
  get waitsSince(): number | undefined {
    return this.receiving.pending[0]?.at
  }

  /** Called when settings were announced. */
  set onAnnounced(announced: () => void) {
    this.sending.onAnnounced = announced
  }

  /** Whether a SETTINGS frame is to be acknowledged now. It takes effect. */
  acknowledges(frame: Frame.SettingsFrame): boolean {
    return this.receiving.acknowledges(frame)
  }
}
