/**
 * The start of an HTTP/2 connection, and its connection level behind it (RFC 9113).
 *
 * The client says its preface and its SETTINGS, the server its SETTINGS, neither waits for the other to begin, and each
 * acknowledges what it has heard. The handshake ends with a transport of frames and the settings of both sides. From then
 * on PING and SETTINGS are answered, windows and identifiers are watched, and whoever breaks the rules hears a GOAWAY with
 * the code of the RFC. Streams and HPACK are not of this module: header blocks are bytes.
 *
 * @stability experimental
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import * as Codec from "../Codec.ts"
import * as Excerpt from "../Excerpt.ts"
import * as Handshake from "../Handshake.ts"
import { type HandshakeError, InvalidGreeting, isReason, type Reason, Rejected, Timeout } from "../HandshakeError.ts"
import * as Middleware from "../Middleware.ts"
import * as Protocol from "../Protocol.ts"
import * as Transport from "../Transport.ts"
import { isTransportError, type Reason as TransportReason, TimedOut, TransportError } from "../TransportError.ts"
import * as Ciphers from "./http2/ciphers.ts"
import * as Internal from "./http2/connection.ts"
import { FrameDecoder } from "./http2/decoder.ts"
import * as Errors from "./http2/errorCode.ts"
import * as Frames from "./http2/frame.ts"
import * as Preface from "./http2/preface.ts"
import type { Sent } from "./http2/send.ts"
import * as SettingsOf from "./http2/settings.ts"
import type { Received } from "./http2/start.ts"
import * as Views from "./http2/views.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Frames
// ---------------------------------------------------------------------------------------------------------------------

export type {
  /**
   * A part of a header block that HEADERS or PUSH_PROMISE has begun (RFC 9113 6.10).
   *
   * @category frames
   * @since 0.1.0
   */
  Continuation,
  /**
   * The content of a message (RFC 9113 6.1). `padLength` is there where the frame is padded. The padding, and the byte
   * with its length, count in the windows.
   *
   * @category frames
   * @since 0.1.0
   */
  Data,
  /**
   * Any frame.
   *
   * @category frames
   * @since 0.1.0
   */
  Frame,
  /**
   * The peer takes no more streams than those up to `lastStreamId`, and says why (RFC 9113 6.8). `code` is one of
   * `ErrorCode`, or a number that means nothing here.
   *
   * @category frames
   * @since 0.1.0
   */
  GoAway,
  /**
   * Begins a stream or a part of it (RFC 9113 6.2). `fragment` is the header block, or the beginning of it, as HPACK has
   * made it.
   *
   * @category frames
   * @since 0.1.0
   */
  Headers,
  /**
   * Asks for a `Pong` with the same 8 bytes (RFC 9113 6.7).
   *
   * @category frames
   * @since 0.1.0
   */
  Ping,
  /**
   * A PING with the flag ACK: the answer to a `Ping`.
   *
   * @category frames
   * @since 0.1.0
   */
  Pong,
  /**
   * The place of a stream among others (RFC 9113 6.3), which is deprecated.
   *
   * @category frames
   * @since 0.1.0
   */
  Priority,
  /**
   * A server will begin a stream of its own (RFC 9113 6.6). `fragment` is as that of `Headers`.
   *
   * @category frames
   * @since 0.1.0
   */
  PushPromise,
  /**
   * Ends a stream at once (RFC 9113 6.4). `code` is as that of `GoAway`.
   *
   * @category frames
   * @since 0.1.0
   */
  RstStream,
  /**
   * A SETTINGS with the flag ACK.
   *
   * @category frames
   * @since 0.1.0
   */
  SettingsAck,
  /**
   * What one side announces (RFC 9113 6.5), of the settings that it says.
   *
   * @category frames
   * @since 0.1.0
   */
  SettingsFrame,
  /**
   * Where a stream is to stand, as `Priority` and `Headers` may say.
   *
   * @category frames
   * @since 0.1.0
   */
  StreamPriority,
  /**
   * A frame of a type that RFC 9113 does not have.
   *
   * @category frames
   * @since 0.1.0
   */
  Unknown,
  /**
   * Lets the peer send more DATA on a stream, or on the connection where the stream is 0 (RFC 9113 6.9).
   *
   * @category frames
   * @since 0.1.0
   */
  WindowUpdate
} from "./http2/frame.ts"

export type {
  /**
   * What a side wants its peer to keep to (RFC 9113 6.5.2, RFC 8441 3, RFC 9218 2.1). `Infinity` is no limit. Sizes are in
   * bytes.
   *
   * @category models
   * @since 0.1.0
   */
  Settings
} from "./http2/settings.ts"

type Frame = Frames.Frame
type Settings = SettingsOf.Settings

/**
 * The settings of a side that has said nothing.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultSettings: Settings = SettingsOf.defaults

/**
 * The error codes of RFC 9113 7.
 *
 * @category constants
 * @since 0.1.0
 */
export const ErrorCode = Errors.ErrorCode

/**
 * The name of an error code, such as `PROTOCOL_ERROR`, or the number of one that is not known.
 *
 * @category formatting
 * @since 0.1.0
 */
export const errorCodeName = (code: number): string => Errors.nameOf(code)

/**
 * The name of the error code that belongs to an error: the one that this side has told the peer, where that was
 * possible, or that the peer has told.
 *
 * **Details**
 *
 * `undefined` where the error is of a kind that HTTP/2 has no code for, such as a connection that broke. A peer that
 * did not say its SETTINGS, or did not acknowledge those of this side, before a deadline is a SETTINGS_TIMEOUT.
 *
 * **Example** (A peer that speaks something else)
 *
 * ```ts
 * import { HandshakeError } from "effect-handshake"
 * import * as Http2 from "effect-handshake/protocols/Http2"
 *
 * const error = new HandshakeError.HandshakeError({
 *   protocol: "h2",
 *   step: "preface",
 *   reason: new HandshakeError.InvalidGreeting({ expected: "the preface", received: "something else" })
 * })
 *
 * console.log(Http2.errorCodeOf(error)) // => PROTOCOL_ERROR
 * ```
 *
 * @category errors
 * @since 0.1.0
 */
export const errorCodeOf = (error: HandshakeError | TransportError): string | undefined =>
  // Before this side has said its SETTINGS, such as while it dials, there is nothing to wait for.
  error.reason._tag === "Timeout" && !isTransportError(error) && !waitingSteps.has(error.step)
    ? undefined
    : Errors.nameOfReason(error.reason)

/**
 * How many bytes of the windows a DATA frame takes; padding counts (RFC 9113 6.9.1).
 *
 * @category windows
 * @since 0.1.0
 */
export const flowControlledLength = (frame: Frames.Data): number => Frames.flowControlled(frame)

const defaultMaxHeaderBlock = 64 * 1024

/** How many bytes a CONTINUATION carries at least, on average. Peers fill them: 16 KiB can always be sent (RFC 9113 4.2). */
const bytesPerContinuation = 4096

const limitsOf = (options: {
  readonly maxHeaderBlock?: number | undefined
  readonly maxContinuations?: number | undefined
} = {}) => {
  const maxHeaderBlock = options.maxHeaderBlock ?? defaultMaxHeaderBlock
  return {
    maxHeaderBlock,
    maxContinuations: options.maxContinuations ?? Math.max(16, Math.ceil(maxHeaderBlock / bytesPerContinuation))
  }
}

/**
 * The frames of HTTP/2 without a connection around them.
 *
 * **When to use**
 *
 * Use in tests and tools. A connection has a codec of its own, which also knows its settings, its windows and which frames
 * may come: see {@link server} and {@link client}.
 *
 * **Details**
 *
 * What RFC 9113 calls a connection error is a `MalformedFrame` whose `code` is the name of its error code; a frame that is
 * too long is a `FrameTooLarge`, as soon as its header is there. PRIORITY and RST_STREAM of a wrong size and a WINDOW_UPDATE
 * by 0 are among them, though a receiver that knows streams might end just the stream. An error shows the header of a frame
 * and nothing of what is in it.
 *
 * **Example** (A PING)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import * as Http2 from "effect-handshake/protocols/Http2"
 *
 * const bytes = Codec.encodeAll(Http2.codec(), [{ _tag: "Ping", data: new Uint8Array(8) }])
 *
 * console.log(bytes.length) // => 17
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const codec = (options?: {
  /** Of a payload that is received, in bytes. Default: 16,384. */
  readonly maxFrameSize?: number | undefined
  /** Of a payload that is sent, in bytes. Default: 16,384. */
  readonly peerMaxFrameSize?: number | undefined
  /** Of a header block, in bytes as HPACK has made them. Default: 64 KiB. */
  readonly maxHeaderBlock?: number | undefined
  /** The most CONTINUATIONs of a header block. Default: 1 for each 4 KiB of `maxHeaderBlock`, and at least 16. */
  readonly maxContinuations?: number | undefined
}): Codec.Codec<Frame, Frame> => {
  const limits = {
    maxFrameSize: options?.maxFrameSize ?? defaultSettings.maxFrameSize,
    ...limitsOf(options)
  }
  const peerMaxFrameSize = options?.peerMaxFrameSize ?? defaultSettings.maxFrameSize
  return Codec.make<Frame>({
    maxLength: Infinity, // the decoder has its limits
    decoder: () => new FrameDecoder(limits),
    encode: (frame, into) => Frames.encode(frame, peerMaxFrameSize, into)
  })
}

/**
 * A frame as errors and transcripts show it, without the header blocks: they hold cookies and authorizations.
 *
 * **Example** (A request)
 *
 * ```ts
 * import * as Http2 from "effect-handshake/protocols/Http2"
 *
 * const request: Http2.Frame = {
 *   _tag: "Headers",
 *   streamId: 1,
 *   fragment: Uint8Array.of(0x82, 0x84, 0x86),
 *   endStream: true,
 *   endHeaders: true
 * }
 *
 * console.log(Http2.format(request)) // => HEADERS 1 END_STREAM END_HEADERS 3 bytes <redacted>
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (frame: Frame): string => Frames.describe(frame)

/**
 * Whether bytes begin an HTTP/2 connection as its client does; `undefined` while there are too few of them to tell.
 *
 * **When to use**
 *
 * Use as `accepts` of a branch of `Handshake.firstOf`. It decides at the first byte that is another, and accepts with all 24.
 *
 * **Example** (One port, two protocols)
 *
 * ```ts
 * import { Handshake } from "effect-handshake"
 * import * as Http2 from "effect-handshake/protocols/Http2"
 * import * as Line from "effect-handshake/protocols/Line"
 *
 * const line = Handshake.extend(Line.server, { protocol: "line" })
 *
 * const server = Handshake.firstOf([
 *   { name: "HTTP/2", accepts: Http2.isPreface, handshake: Http2.server() },
 *   { name: "line", accepts: () => true, handshake: line }
 * ])
 *
 * console.log(Http2.isPreface(new TextEncoder().encode("PRI * HTTP"))) // => undefined
 * console.log(Http2.isPreface(new TextEncoder().encode("You ready?"))) // => false
 * ```
 *
 * @category guards
 * @since 0.1.0
 */
export const isPreface = (bytes: Uint8Array): boolean | undefined =>
  Preface.firstDifference({ length: bytes.length, at: (index) => bytes[index] }, 0) !== -1
    ? false
    : bytes.length >= Preface.preface.length
    ? true
    : undefined

// ---------------------------------------------------------------------------------------------------------------------
// Connections
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The options of a connection. The bounds of what a peer may ask for have defaults that no peer in good order reaches.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * What is announced to the peer. Default: nothing on a server; on a client `enablePush: false`, so that a server that
   * pushes breaks the rules. What is left out is not said, and has the value of {@link defaultSettings}.
   */
  readonly settings?: Partial<Settings> | undefined
  /**
   * How long the peer has to acknowledge what is announced; also behind the handshake, which does not wait for it. Default:
   * 10 seconds.
   */
  readonly settingsTimeout?: Duration.Input | undefined
  /** The longest header block, with its CONTINUATIONs, in bytes as HPACK has made them. Default: 64 KiB. */
  readonly maxHeaderBlock?: number | undefined
  /** The most CONTINUATIONs of a header block. Default: 1 for each 4 KiB of `maxHeaderBlock`, and at least 16. */
  readonly maxContinuations?: number | undefined
  /**
   * How many frames may come that cost the peer nothing and ask for work, beyond what goes with the data and the streams that
   * move: PING, SETTINGS, PRIORITY, RST_STREAM, WINDOW_UPDATE, GOAWAY, PUSH_PROMISE, DATA that is empty and ends
   * nothing, frames of unknown types, streams beyond `maxConcurrentStreams`, and streams that this side resets for what
   * the peer did. `burst` at once, and `perSecond` more with each second. Default: 1000 and 100.
   *
   * What moves earns more: a PING for each DATA in either direction, a WINDOW_UPDATE for each byte that was sent, an RST_STREAM
   * for each stream that was answered before. So a peer that measures its bandwidth all the time, as gRPC's do, is no flood.
   */
  readonly cheapFrames?: { readonly burst?: number | undefined; readonly perSecond?: number | undefined } | undefined
  /** How many answers may wait for a peer that does not take them; then nothing more is read from it. Default: 64. */
  readonly maxUnsent?: number | undefined
  /** How many frames are read ahead of the service. Default: 16. */
  readonly readAhead?: number | undefined
  /**
   * Whether any cipher suite will do. Without it a connection with TLS 1.2 and one that RFC 9113 A forbids, without ephemeral
   * keys or without authenticated encryption, is `Rejected` by this side and hears INADEQUATE_SECURITY. Default: false.
   */
  readonly anyCipher?: boolean | undefined
  /** The types of extension frames that are passed on, as `Unknown`. Others are ignored (RFC 9113 5.5). Default: none. */
  readonly extensions?: ReadonlyArray<number> | undefined
}

/**
 * What the connection of a client is told besides.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientOptions extends Options {
  /**
   * Whether the handshake also waits until the server has acknowledged. That may take a round trip, and then a server that
   * says no is `Rejected`; without it the GOAWAY comes behind the handshake. Default: false.
   */
  readonly awaitAcknowledgement?: boolean | undefined
}

/**
 * What a handshake has learnt, and what the connection knows now.
 *
 * @category models
 * @since 0.1.0
 */
export interface Session {
  readonly protocol: "h2"
  readonly role: "server" | "client"
  readonly settings: {
    /** What this side has announced. It takes effect as the peer acknowledges it. */
    readonly local: Settings
    /** What the peer has announced and this side has acknowledged. */
    readonly remote: Settings
    /** Whether the peer has acknowledged all of `local`. */
    readonly isAcknowledged: boolean
  }
  /** The flow control windows of the connection, in bytes. Those of streams are up to whoever has streams. */
  readonly windows: {
    /** How much DATA may be sent now. More cannot be encoded. */
    readonly send: number
    /** How much DATA may come now. Send a WINDOW_UPDATE on stream 0 to let more come. */
    readonly receive: number
  }
}

/**
 * The transport of an HTTP/2 connection.
 *
 * **Details**
 *
 * It receives DATA, HEADERS, PRIORITY, RST_STREAM, PUSH_PROMISE, GOAWAY, WINDOW_UPDATE, CONTINUATION, a PING with ACK, and
 * SETTINGS, which were acknowledged already and come so that their place among other frames is known. PING, the
 * acknowledgement of SETTINGS and unknown frames are handled below it.
 *
 * All of these may be sent but SETTINGS: those are changed with {@link changeSettings} and acknowledged by themselves.
 *
 * @category models
 * @since 0.1.0
 */
export type Http2Transport = Transport.Transport<Frame, Frame> & Session

type Role = Session["role"]

interface Resolved {
  readonly settings: Partial<Settings>
  readonly settingsTimeout: Duration.Duration
  readonly limits: ReturnType<typeof limitsOf>
  readonly calm: { readonly burst: number; readonly perSecond: number }
  readonly maxUnsent: number | undefined
  readonly readAhead: number | undefined
  readonly anyCipher: boolean
  readonly extensions: ReadonlySet<number>
  readonly awaitAcknowledgement: boolean
}

/** What the first SETTINGS of a side say: no limit is what holds without a word. */
const announcedBy = (role: Role, settings: Partial<Settings> | undefined): Partial<Settings> => {
  const wanted = { ...(role === "client" && { enablePush: false }), ...settings }
  const said = Object.fromEntries(
    Object.entries(wanted).filter(([, value]) => value !== undefined && value !== Infinity)
  ) as Partial<Settings> // fewer of the same
  const problem = SettingsOf.problemOf(said)
  if (problem !== undefined) throw new RangeError(`Http2.${role}: ${problem}`)
  if (role === "server" && said.enablePush === true) throw new RangeError("Http2.server: a server does not enable push")
  return said
}

const resolve = (role: Role, options: ClientOptions | undefined): Resolved => ({
  settings: announcedBy(role, options?.settings),
  settingsTimeout: Duration.fromInputUnsafe(options?.settingsTimeout ?? "10 seconds"),
  limits: limitsOf(options),
  calm: { burst: options?.cheapFrames?.burst ?? 1000, perSecond: options?.cheapFrames?.perSecond ?? 100 },
  maxUnsent: options?.maxUnsent,
  readAhead: options?.readAhead,
  anyCipher: options?.anyCipher ?? false,
  extensions: new Set(options?.extensions),
  awaitAcknowledgement: role === "client" && options?.awaitAcknowledgement === true
})

type Opened = Transport.Transport<Received, Sent>

const encoder = new TextEncoder()

const goAwayOf = (connection: Internal.Connection, code: number, debug: string): Frames.GoAway => ({
  _tag: "GoAway",
  lastStreamId: connection.lastPeerStream,
  code,
  debugData: encoder.encode(Excerpt.ofText(debug))
})

// To a peer that said no itself, or that left without a word, there is nothing to say.
const deservesGoAway = (error: unknown): error is TransportError | Reason =>
  isTransportError(error)
    ? error.fault === "peer" && error.reason._tag !== "ConnectionClosed"
    : isReason(error) && error.fault === "peer" && error._tag !== "Rejected"

/** The last word to a peer with which there will be no connection; it waits until it was heard. */
const sayNo = (
  opened: Opened,
  connection: Internal.Connection,
  reason: Reason | TransportReason
): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.ignore(Transport.farewell(opened, [goAwayOf(connection, Errors.codeOf(reason), reason.message)]))
  )

/** Receives what is due at a step. Whoever says anything else hears why not. */
const receive = <A>(
  opened: Opened,
  connection: Internal.Connection,
  step: string,
  expected: string,
  pick: (frame: Received) => A | Reason | undefined
): Effect.Effect<A, HandshakeError> =>
  opened.receive.pipe(
    Effect.flatMap((frame): Effect.Effect<A, Reason> => {
      const picked = pick(frame)
      if (isReason(picked)) return Effect.fail(picked)
      return picked === undefined
        ? Effect.fail(new InvalidGreeting({ expected, received: Internal.describe(frame) }))
        : Effect.succeed(picked)
    }),
    Effect.tapError((error) =>
      deservesGoAway(error)
        ? sayNo(opened, connection, isTransportError(error) ? error.reason : error)
        : Effect.void
    ),
    Handshake.step(step)
  )

/** The codes of a peer that may say yes another time. */
const retryableCodes: ReadonlySet<number> = new Set([
  ErrorCode.NO_ERROR,
  ErrorCode.INTERNAL_ERROR,
  ErrorCode.REFUSED_STREAM,
  ErrorCode.CANCEL,
  ErrorCode.ENHANCE_YOUR_CALM
])

const rejection = (frame: Frames.GoAway): Rejected =>
  new Rejected({
    by: "peer",
    said: Frames.describe(frame),
    code: Errors.nameOf(frame.code),
    retryable: retryableCodes.has(frame.code)
  })

const settingsAck: Frames.SettingsAck = { _tag: "SettingsAck" }

const acknowledge = (opened: Opened) => Handshake.send(opened, settingsAck, { name: "send SETTINGS ACK" })

const prefaceStep = "preface"
const settingsStep = "SETTINGS"
const awaitedStep = "SETTINGS ACK"

/** Where this side has said its SETTINGS, and waits for what the peer has to say to that. */
const waitingSteps: ReadonlySet<string> = new Set([prefaceStep, settingsStep, awaitedStep])

/** A client waits until its settings are acknowledged, and answers what else there is to answer. */
const acknowledged = Effect.fnUntraced(
  function*(opened: Opened, connection: Internal.Connection, _timeout: Duration.Duration) {
    while (!connection.isAcknowledged) {
      const frame = yield* receive(
        opened,
        connection,
        awaitedStep,
        "an acknowledgement of SETTINGS",
        (frame) => frame._tag === "GoAway" ? rejection(frame) : frame
      )
      if (frame._tag === "Ping") {
        yield* Handshake.send(opened, { _tag: "Pong", data: frame.data }, { name: "send PING ACK" })
      } else if (frame._tag === "Settings" && connection.acknowledges(frame)) {
        yield* acknowledge(opened)
      }
      // A window of the connection is counted by it, and no stream has begun.
    }
  },
  (waiting, opened, connection, timeout) =>
    Effect.timeoutOrElse(waiting, {
      duration: timeout,
      orElse: () => {
        const reason = new Timeout({ deadline: timeout })
        return sayNo(opened, connection, reason).pipe(
          Effect.andThen(Effect.fail(reason)),
          Handshake.step(awaitedStep)
        )
      }
    })
)

/** Turns a peer away with which TLS has negotiated what HTTP/2 must not be carried by (RFC 9113 9.2.2). */
const requireCipher = (opened: Opened, connection: Internal.Connection) =>
  Transport.tls(opened).pipe(
    Effect.flatMap((tls): Effect.Effect<void, Rejected> => {
      if (tls === undefined || !Ciphers.isProhibited(tls)) return Effect.void
      const reason = new Rejected({
        by: "local",
        said: `${tls.version} with ${tls.cipher}`,
        code: "INADEQUATE_SECURITY",
        retryable: false
      })
      return Effect.andThen(sayNo(opened, connection, reason), Effect.fail(reason))
    }),
    Handshake.step("check the cipher suite")
  )

const shake = Effect.fnUntraced(function*(connection: Internal.Connection, options: Resolved) {
  const opened = yield* Transport.framed(connection.codec, { describe: Internal.describe })
  const { settings } = options
  if (connection.role === "client") {
    yield* Handshake.send(opened, { _tag: "Start", settings }, { name: "send preface and SETTINGS" })
    if (!options.anyCipher) yield* requireCipher(opened, connection)
  } else {
    // Before the preface is there: a client may wait for it.
    yield* Handshake.send(opened, { _tag: "Announce", settings }, { name: "send SETTINGS" })
    if (!options.anyCipher) yield* requireCipher(opened, connection)
    yield* receive(
      opened,
      connection,
      prefaceStep,
      "the connection preface \"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\"",
      (frame) => frame._tag === "Preface" ? frame : undefined
    )
  }
  const theirs = yield* receive(
    opened,
    connection,
    settingsStep,
    "SETTINGS as the first frame",
    (frame) => frame._tag === "Settings" ? frame : frame._tag === "GoAway" ? rejection(frame) : undefined
  )
  connection.acknowledges(theirs)
  yield* acknowledge(opened)
  if (options.awaitAcknowledgement) yield* acknowledged(opened, connection, options.settingsTimeout)
  return yield* keep(opened, connection, options)
})

const start = (
  role: Role,
  options: Resolved
): Effect.Effect<Http2Transport, HandshakeError | TransportError, Socket.Socket | Scope.Scope> =>
  Effect.clockWith((clock) => {
    const connection = new Internal.Connection({
      role,
      limits: options.limits,
      calm: options.calm,
      extensions: options.extensions,
      now: () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    })
    const shaking = shake(connection, options)
    return role === "client" ? shaking : Handshake.withRefusal(shaking, refuse(connection))
  })

/** What belongs to a transport behind its handshake. */
interface Kept {
  readonly connection: Internal.Connection
  /** Who waits for the answer to the PING of a shutdown. */
  readonly roundTrips: Set<() => void>
}

/** Where a transport has what belongs to it. */
const KeptTypeId = "~effect-handshake/Http2/Kept"

const keptOf = (transport: Http2Transport & { readonly [KeptTypeId]?: Kept }): Kept => {
  const found = transport[KeptTypeId]
  if (found === undefined) throw new TypeError("this is not the transport of an HTTP/2 handshake")
  return found
}

const shutdownPing = encoder.encode("shutdown")

const isShutdownPong = ({ data }: Frames.Pong): boolean => data.every((byte, i) => byte === shutdownPing[i])

const settingsOf = Views.make<Internal.Connection, Session["settings"]>({
  local: ({ local }) => local,
  remote: ({ remote }) => remote,
  isAcknowledged: ({ isAcknowledged }) => isAcknowledged
})

const windowsOf = Views.make<Internal.Connection, Session["windows"]>({
  send: ({ sendWindow }) => sendWindow,
  receive: ({ receiveWindow }) => receiveWindow
})

/** The connection level behind the handshake, for as long as the scope is open. */
const keep = (opened: Opened, connection: Internal.Connection, options: Resolved) => {
  const roundTrips = new Set<() => void>()
  const kept: Kept = { connection, roundTrips }
  const level = (link: Middleware.Link<Sent>): Middleware.Part<Received, Sent> => {
    const farewell = (reason: TransportReason) =>
      link.farewell(goAwayOf(connection, Errors.codeOf(reason), reason.message))
    const announced = () => link.look()
    connection.onAnnounced = announced
    connection.onViolation = farewell
    const timeout = Duration.toMillis(options.settingsTimeout)
    // What a peer says that is not listened to is not its fault.
    let deafUntil = -Infinity
    return {
      decide: (frame) => {
        switch (frame._tag) {
          case "Ping":
            return [{ _tag: "Pong", data: frame.data }]
          case "Pong":
            if (roundTrips.size === 0 || !isShutdownPong(frame)) return undefined
            for (const done of roundTrips) done()
            return []
          case "Settings":
            // It goes on to the user, and may be asked about again.
            if (connection.acknowledges(frame)) link.answer([settingsAck])
            return undefined
          case "SettingsAck":
            return []
          case "Unknown":
            return options.extensions.has(frame.type) ? undefined : []
          default:
            return undefined
        }
      },
      watch: (now) => {
        const since = connection.waitsSince
        if (since === undefined || link.hasEnded) return Infinity
        if (!link.isListening) deafUntil = now
        const due = Math.max(since, deafUntil) + timeout
        if (now < due) return due
        const reason = new TimedOut({ waitedFor: "acknowledgement", after: options.settingsTimeout })
        farewell(reason)
        link.giveUp(new TransportError({ reason }), false)
        return Infinity
      },
      maxUnsent: options.maxUnsent,
      readAhead: options.readAhead
    }
  }
  const session: Session = {
    protocol: "h2",
    role: connection.role,
    settings: settingsOf(connection),
    windows: windowsOf(connection)
  }
  return Effect.map(
    Middleware.make(opened, level),
    // What is no frame comes only before the first SETTINGS.
    () => Transport.extend(opened, { ...session, [KeptTypeId]: kept }) as unknown as Http2Transport
  )
}

interface Refusal {
  readonly code: number
  readonly why: string
}

const refusals: Record<Handshake.Refusal, Refusal> = {
  capacity: { code: ErrorCode.NO_ERROR, why: "at capacity" },
  rate: { code: ErrorCode.ENHANCE_YOUR_CALM, why: "too often" },
  draining: { code: ErrorCode.NO_ERROR, why: "shutting down" },
  deadline: { code: ErrorCode.SETTINGS_TIMEOUT, why: "too slow" },
  forbidden: { code: ErrorCode.PROTOCOL_ERROR, why: "not by this way" }
}

/** What a peer hears that is turned away: SETTINGS, where it has not heard them yet (3.4), and GOAWAY. */
const refusalCodec = (connection: Internal.Connection) =>
  Codec.make<Uint8Array, Refusal>({
    decoder: Codec.bytes.decoder,
    encode: ({ code, why }, into) => {
      const goAway: Frame = { _tag: "GoAway", lastStreamId: 0, code, debugData: encoder.encode(why) }
      const frames: ReadonlyArray<Frame> = connection.hasAnnounced
        ? [goAway]
        : [{ _tag: "Settings", settings: {} }, goAway]
      into.bytes(Codec.encodeAll(codec(), frames))
    }
  })

const describeRefusal = (said: Uint8Array | Refusal): string =>
  said instanceof Uint8Array ? Excerpt.ofBytes(said) : `GOAWAY ${Errors.nameOf(said.code)}: ${said.why}`

const refuse = (connection: Internal.Connection): Handshake.Refuse => (why, retryAfter) => {
  const refusal = refusals[why]
  // GOAWAY has no field for it, so that it is for people (6.8).
  const said = retryAfter === undefined
    ? refusal
    : { ...refusal, why: `${refusal.why}, try again in ${Math.ceil(Duration.toSeconds(retryAfter))} s` }
  return Handshake.refuse(Transport.framed(refusalCodec(connection), { describe: describeRefusal }), said)
}

/**
 * The protocol, with options for each side.
 *
 * **Details**
 *
 * See {@link server} and {@link client} for the handshakes. A server that has no room, or drains, says an empty SETTINGS,
 * unless it has said its own already, and GOAWAY with `NO_ERROR` and 0 as the last stream, so that a client knows that nothing
 * was processed and may try elsewhere; one whose client is too slow says GOAWAY with `SETTINGS_TIMEOUT`, and one that may not
 * come in `PROTOCOL_ERROR`. The debug data tells why.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  options?: {
    /** The options of its server. */
    readonly server?: Options | undefined
    /** The options of its client. */
    readonly client?: ClientOptions | undefined
  }
) =>
  Protocol.make({
    name: "h2",
    server: start("server", resolve("server", options?.server)),
    client: start("client", resolve("client", options?.client))
  })

/**
 * The protocol with its defaults.
 *
 * @category protocols
 * @since 0.1.0
 */
export const protocol = make()

type Shaking = Effect.Effect<Http2Transport, HandshakeError, Socket.Socket | Scope.Scope>

/**
 * The server's handshake (RFC 9113 3.4): sends SETTINGS at once, receives the client's preface and its SETTINGS, and
 * acknowledges them.
 *
 * **Details**
 *
 * What follows in the same segment, such as HEADERS, is there for whoever serves the transport. That the client acknowledges
 * the settings is not waited for, but has to come within `settingsTimeout`.
 *
 * Whoever does not begin with the preface hears GOAWAY with `PROTOCOL_ERROR` and is an `InvalidGreeting` that shows the line
 * that came and names an HTTP/1 request or TLS. HTTP/1 is not answered in its own words: this side's SETTINGS are on their
 * way already, behind which no HTTP/1 response can be read.
 *
 * Inside TLS the cipher suite has to be one that HTTP/2 allows, see {@link Options}: with another one the peer hears SETTINGS
 * and GOAWAY with `INADEQUATE_SECURITY`.
 *
 * Behind the handshake, as long as its scope is open:
 *
 * - PING and SETTINGS are answered, in the order in which they come, while whoever serves the transport takes frames and
 *   while it does not.
 * - A frame that breaks the rules of RFC 9113 for a connection ends it: `receive` fails with a `TransportError` whose reason
 *   has the `code`, and the peer hears GOAWAY with it and with the last stream that it has begun. See {@link errorCodeOf}.
 *   The rules are those that can be told without knowing streams: sizes, header blocks in one piece, identifiers that go up,
 *   nothing on a stream that was never begun and neither DATA nor HEADERS where the peer has ended it (`STREAM_CLOSED`),
 *   settings, the windows of the connection, GOAWAY that takes nothing back.
 * - Frames that cost a peer nothing are bounded, see {@link Options}: more of them are `ENHANCE_YOUR_CALM`.
 * - Settings that are not acknowledged in time are `SETTINGS_TIMEOUT`, and fail as `TimedOut`.
 *
 * The settings of the peer take effect as they are acknowledged: a payload that is longer than its `maxFrameSize`, or DATA
 * beyond the window of the connection, cannot be encoded. Those of this side take effect when the peer has acknowledged.
 *
 * Interrupted, it has left nothing behind but the connection, which the scope closes.
 *
 * **Gotchas**
 *
 * Send a header block of several frames with one `sendAll`: it is sent as a whole or, where a frame cannot be encoded, not at
 * all. Between its parts nothing else can be encoded; an answer to the
 * peer waits until it is all sent.
 *
 * When the peer changes `initialWindowSize`, the windows of all streams change by the difference (RFC 9113 6.9.2), which is
 * up to whoever has streams.
 *
 * **Example** (A server and a client)
 *
 * ```ts
 * import * as Http2 from "effect-handshake/protocols/Http2"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const [server, client] = yield* Effect.all([
 *     Http2.server({ settings: { maxConcurrentStreams: 100 } }).pipe(Effect.provideService(Socket.Socket, here)),
 *     Http2.client().pipe(Effect.provideService(Socket.Socket, there))
 *   ], { concurrency: "unbounded" })
 *   yield* client.send({ _tag: "Headers", streamId: 1, fragment: Uint8Array.of(0x82), endStream: true, endHeaders: true })
 *   console.log(Http2.format(yield* server.receive))
 *   // => HEADERS 1 END_STREAM END_HEADERS 1 byte <redacted>
 *   console.log(client.settings.remote.maxConcurrentStreams) // => 100
 *   console.log(server.settings.remote.enablePush) // => false
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const server = (options?: Options): Shaking => make({ server: options }).server

/**
 * The client's handshake (RFC 9113 3.4): sends the preface and SETTINGS at once, receives the server's SETTINGS, and
 * acknowledges them.
 *
 * **Details**
 *
 * See {@link server} for what is true of both sides, and behind the handshake. A server that answers as HTTP/1 is an
 * `InvalidGreeting` that says so. One that begins with GOAWAY is `Rejected`, with the name of its code; one that says GOAWAY
 * behind its SETTINGS is with `awaitAcknowledgement`, and else it is a frame of the transport.
 *
 * @category handshakes
 * @since 0.1.0
 */
export const client = (options?: ClientOptions): Shaking => make({ client: options }).client

/**
 * Announces other settings.
 *
 * **Details**
 *
 * `settings.local` has them at once; they take effect when the peer has acknowledged them, for which it has
 * `settingsTimeout`. Fails with nothing sent where a value is none that can be said.
 *
 * **Example** (Larger frames from now on)
 *
 * ```ts
 * import * as Http2 from "effect-handshake/protocols/Http2"
 *
 * const widen = (transport: Http2.Http2Transport) => Http2.changeSettings(transport, { maxFrameSize: 2 ** 20 })
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const changeSettings = (
  self: Http2Transport,
  settings: Partial<Settings>
): Effect.Effect<void, TransportError> =>
  Effect.suspend(() => {
    keptOf(self)
    // More may be sent than a user may send.
    const transport: Transport.Transport<unknown, Sent> = self as Transport.Transport.Any
    return transport.send({ _tag: "Announce", settings })
  })

/**
 * Sends GOAWAY with the last stream that the peer has begun (RFC 9113 6.8). The connection stays open: end it with its scope.
 *
 * **Details**
 *
 * `code` is one of {@link ErrorCode}; default: `NO_ERROR`. `debug` is a text for whoever looks at the peer's logs.
 * `lastStreamId` is 0 or a stream of the peer's, odd at a server and even at a client, and never goes up; fails with nothing
 * sent where it is another one.
 *
 * @category combinators
 * @since 0.1.0
 */
export const goAway = (
  self: Http2Transport,
  code: number = ErrorCode.NO_ERROR,
  options?: {
    /** The last stream of the peer's that is still taken. Default: the last one that it has begun. */
    readonly lastStreamId?: number | undefined
    /** A text for whoever reads the peer's log. Default: none. */
    readonly debug?: string | undefined
  }
): Effect.Effect<void, TransportError> =>
  Effect.suspend(() => {
    const { connection } = keptOf(self)
    const frame = goAwayOf(connection, code, options?.debug ?? "")
    return Transport.farewell(self, [{ ...frame, lastStreamId: options?.lastStreamId ?? frame.lastStreamId }])
  })

/**
 * Tells the peer in two steps to begin no more streams, so that none that is on its way is lost (RFC 9113 6.8), and returns
 * the last one that it has begun.
 *
 * **Details**
 *
 * It sends GOAWAY with the largest stream that the peer can begin, waits for a round trip or for as long as `wait`, 1 second
 * by default, and sends GOAWAY with the stream that is the last one then. Streams up to that one are to be served to their
 * end, and then the connection can be ended. The transport has to be received from meanwhile, as always.
 *
 * To a client a server begins streams by promises alone. Where the server has acknowledged that the client takes none, nothing
 * is on its way, and there is one GOAWAY at once. What the client has asked for is still answered.
 *
 * @see {@link whenDraining} for when to do that
 *
 * @category combinators
 * @since 0.1.0
 */
export const shutdown = Effect.fnUntraced(function*(
  self: Http2Transport,
  options?: { readonly wait?: Duration.Input | undefined }
): Effect.fn.Return<number, TransportError> {
  const { connection, roundTrips } = keptOf(self)
  if (connection.largestPeerStream === connection.lastPeerStream) {
    yield* goAway(self)
    return connection.lastPeerStream
  }
  yield* goAway(self, ErrorCode.NO_ERROR, { lastStreamId: connection.largestPeerStream })
  const roundTrip = Effect.callback<void, TransportError>((resume) => {
    const done = () => resume(Effect.void)
    roundTrips.add(done)
    return Effect.sync(() => {
      roundTrips.delete(done)
    })
  })
  const asked = Effect.andThen(self.send({ _tag: "Ping", data: shutdownPing.slice() }), Effect.never)
  yield* Effect.timeoutOption(Effect.raceFirst(roundTrip, asked), options?.wait ?? "1 second")
  yield* goAway(self)
  return connection.lastPeerStream
})

/**
 * Waits until the server that has this connection drains, and lets what serves the connection end it in order.
 *
 * **Details**
 *
 * A service that waits for it goes on to receive while the server drains, which a service that does not is not allowed to:
 * use {@link shutdown} then, answer the streams that were begun, and end. It has the `drainTimeout` of the server for that.
 *
 * **Example** (A service that finishes what was begun)
 *
 * ```ts
 * import * as Http2 from "effect-handshake/protocols/Http2"
 * import { Effect } from "effect"
 *
 * const lastStream = (transport: Http2.Http2Transport) =>
 *   Effect.andThen(Http2.whenDraining(transport), Http2.shutdown(transport))
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const whenDraining: (self: Http2Transport) => Effect.Effect<void> = Transport.whenDraining
