/**
 * The PROXY protocol, versions 1 and 2: a proxy tells the server behind it whom it speaks for.
 *
 * A connection that a load balancer has passed on comes from the load balancer, as far as its socket knows. So the load
 * balancer says in a header, before anything else, from where the client has connected and to where; in version 2 also
 * what it knows of the client's TLS. This module receives such a header and introduces the peer by it
 * (`Handshake.introduce`), and sends one, around any handshake.
 *
 * Whoever may send a header may be anybody. So a server that takes headers takes them only from networks that it trusts, and
 * takes no connection without one: whether there is one is never guessed.
 *
 * It follows haproxy's `proxy-protocol.txt`; numbers in this module are its sections.
 *
 * @stability experimental
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Predicate from "effect/Predicate"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type * as Codec from "../Codec.ts"
import * as Excerpt from "../Excerpt.ts"
import * as Handshake from "../Handshake.ts"
import { type HandshakeError, isHandshakeError, type Reason, Rejected } from "../HandshakeError.ts"
import * as Peer from "../Peer.ts"
import * as Transport from "../Transport.ts"
import { isTransportError, type TransportError } from "../TransportError.ts"
import * as Internal from "./proxy/codec.ts"
import type * as Model from "./proxy/model.ts"

/**
 * The version of a header: 1 is a line of text (2.1), 2 is binary (2.2).
 *
 * @category models
 * @since 0.1.0
 */
export type Version = Model.Version

/**
 * What a proxy says before the first byte of a connection.
 *
 * @category models
 * @since 0.1.0
 */
export type Header = Model.Header

/**
 * The connection is the proxy's own, such as a health check: it comes from where its socket says. Only version 2 has
 * it; whatever else such a header says is dropped (2.2).
 *
 * @category models
 * @since 0.1.0
 */
export type Local = Model.Local

/**
 * The connection is somebody else's, and the proxy does not say whose: `UNKNOWN` in version 1, an unspecified family or
 * transport in version 2. It is taken as if there were no header.
 *
 * @category models
 * @since 0.1.0
 */
export type Unknown = Model.Unknown

/**
 * The connection is from `source`, which has connected to `destination`.
 *
 * **Details**
 *
 * Both are of one family. The path of a Unix socket may be empty, and that of an abstract one begins with a zero byte. `transport`
 * is what the client has connected by; version 1 has nothing but streams of TCP. `tlvs` are in the order of the wire, and
 * version 1 has none.
 *
 * @category models
 * @since 0.1.0
 */
export type Proxied = Model.Proxied

/**
 * What else a header of version 2 says.
 *
 * **Details**
 *
 * | tag | what it is | section |
 * |---|---|---|
 * | `Alpn` | the application protocol that was negotiated | 2.2.1 |
 * | `Authority` | the host name that the client asked for (SNI) | 2.2.2 |
 * | `Crc32c` | there is a checksum: it was right when the header was received, and is reckoned when it is sent | 2.2.3 |
 * | `Noop` | nothing, to fill up | 2.2.4 |
 * | `UniqueId` | what the connection is called by all proxies on its way, up to 128 bytes | 2.2.5 |
 * | `Ssl` | the TLS of the client | 2.2.6 |
 * | `Netns` | the network namespace | 2.2.7 |
 * | `Other` | a type that has no name here, with its bytes as they came | 2.2.8 |
 *
 * None but `Noop` and `Other` may come twice.
 *
 * @category models
 * @since 0.1.0
 */
export type Tlv = Model.Tlv

/**
 * What the proxy knows of the TLS between the client and itself (2.2.6).
 *
 * **Details**
 *
 * `overTls` says whether the client has come by TLS at all; `certificate` whether it has shown a certificate on this
 * connection, earlier in the same session, or both. `verify` is 0 where that was verified, and else what the proxy's TLS says.
 * Without a certificate its value depends on the proxy, so look at both.
 *
 * @category models
 * @since 0.1.0
 */
export type Ssl = Model.Ssl

/**
 * What a proxy tells in words about TLS. `CommonName` is of the client's certificate; `SignatureAlgorithm` and `KeyAlgorithm` are of
 * the proxy's own (2.2.6).
 *
 * @category models
 * @since 0.1.0
 */
export type SslTlv = Model.SslTlv

/**
 * A TLV whose type has no name here.
 *
 * @category models
 * @since 0.1.0
 */
export type Other = Model.Other

/**
 * How a server takes headers.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerOptions {
  /**
   * Whose header is believed: those who connect from these networks, in CIDR notation. `"10.0.0.0/8"` and `"fd00::/8"`;
   * `"192.0.2.1/32"` is one machine. An IPv4 address is the same in its IPv6 form. What is no network is a `TypeError` at once.
   *
   * A peer on a Unix socket has no address: for it, and for what no network says, give a function.
   */
  readonly trust: ReadonlyArray<IpNetwork.IpNetworkInput> | ((peer: Peer.Peer) => boolean)
  /** The versions that are taken. Default: both. */
  readonly versions?: ReadonlyArray<Version> | undefined
  /**
   * How long a header of version 2 may be, with all that it says, in bytes. Default: 4,096; the protocol allows 65,551.
   * A line of version 1 has never more than 107.
   */
  readonly maxLength?: number | undefined
}

/**
 * The codec of headers, in either version. `maxLength` is that of `ServerOptions`.
 *
 * **Details**
 *
 * What is no header fails as `MalformedFrame` at the first byte that shows it; one that is too long as `FrameTooLarge`, as soon as it
 * says so. What has no meaning yet is kept: unknown TLVs in `Other`. What the protocol forbids to send is refused to be received
 * too: unknown commands, families and transports, addresses in another form, a checksum that is not right.
 *
 * **Example** (A line, and bytes)
 *
 * ```ts
 * import { Codec } from "effect-handshake"
 * import * as Proxy from "effect-handshake/protocols/Proxy"
 *
 * const line = new TextEncoder().encode("PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n")
 *
 * const [header] = Codec.decodeAll(Proxy.codec(), line)
 *
 * console.log(Proxy.format(header)) // => PROXY v1 from 203.0.113.7:56324 to 192.0.2.1:443
 * console.log(Codec.encodeAll(Proxy.codec(), [Proxy.local]).length) // => 16
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const codec: (options?: {
  /** Of a header, in bytes. Default: 4,096. */
  readonly maxLength?: number | undefined
}) => Codec.Codec<Header, Header> = Internal.codec

/**
 * The header of a connection that a proxy makes for itself, such as a health check.
 *
 * @category headers
 * @since 0.1.0
 */
export const local: Local = { _tag: "Local" }

/**
 * What a header of one's own says.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeaderOptions {
  /** Default: 2. */
  readonly version?: Version | undefined
  /** What else it says, of version 2: `[{ _tag: "Crc32c" }]` has it checked. */
  readonly tlvs?: ReadonlyArray<Tlv> | undefined
}

const empty = NetAddress.unixPathAddress("")

const toIpv6 = (address: NetAddress.InetAddress): NetAddress.InetAddress =>
  address._tag === "InetAddressV6"
    ? address
    : NetAddress.inetAddressUnsafe(NetAddress.toIpv4Mapped(address.address), address.port)

/** Both in one family, if there is one: IPv4 has a form in IPv6, and a Unix socket need not have a path. */
const inOneFamily = (
  source: NetAddress.SocketAddress | undefined,
  destination: NetAddress.SocketAddress | undefined
): readonly [NetAddress.SocketAddress, NetAddress.SocketAddress] | undefined => {
  const isUnix = source?._tag === "UnixPathAddress" || destination?._tag === "UnixPathAddress"
  if (isUnix) {
    const [from, to] = [source ?? empty, destination ?? empty]
    return from._tag === to._tag ? [from, to] : undefined
  }
  if (source === undefined || destination === undefined) return undefined
  return source._tag === destination._tag || !NetAddress.isInetAddress(source) || !NetAddress.isInetAddress(destination)
    ? [source, destination]
    : [toIpv6(source), toIpv6(destination)]
}

const between = (
  source: NetAddress.SocketAddress | undefined,
  destination: NetAddress.SocketAddress | undefined,
  options: HeaderOptions | undefined,
  learnt: ReadonlyArray<Tlv>
): Header => {
  const version = options?.version ?? 2
  const tlvs = options?.tlvs ?? (version === 1 ? [] : learnt)
  const ends = inOneFamily(source, destination)
  // Version 1 has no word for Unix sockets (2.1).
  if (ends === undefined || version === 1 && ends[0]._tag === "UnixPathAddress") {
    return { _tag: "Unknown", version, tlvs }
  }
  return { _tag: "Proxied", version, transport: "stream", source: ends[0], destination: ends[1], tlvs }
}

const nameIn = (subject: string): string | undefined => /^CN=(.*)$/m.exec(subject)?.[1]

/** What this side knows of a client's TLS. */
const tlsOf = ({ alpn, certificate, cipher, servername, verified, version }: Peer.Tls): ReadonlyArray<Tlv> => {
  const commonName = certificate && nameIn(certificate.subject)
  const ssl: Ssl = {
    _tag: "Ssl",
    overTls: true,
    certificate: certificate === undefined ? "none" : "both",
    verify: certificate !== undefined && verified ? 0 : 1,
    tlvs: [
      { _tag: "Version", value: version },
      { _tag: "Cipher", value: cipher },
      ...(commonName === undefined ? [] : [{ _tag: "CommonName" as const, value: commonName }])
    ]
  }
  return [
    ...(alpn === undefined ? [] : [{ _tag: "Alpn" as const, protocol: alpn }]),
    ...(servername === undefined ? [] : [{ _tag: "Authority" as const, name: servername }]),
    ssl
  ]
}

/**
 * The header of a connection that is passed on: it is from the peer, which has connected to here.
 *
 * **When to use**
 *
 * Use in a proxy, with the peer of the connection that it has accepted. Where that peer was introduced by a header itself, the header
 * says the same of it: so proxies stand behind each other.
 *
 * **Details**
 *
 * Unless `tlvs` are given, version 2 says what was agreed on in TLS. Where the addresses are not known, or version 1 has no word for
 * them, the header is `Unknown`.
 *
 * **Example** (Who has connected)
 *
 * ```ts
 * import * as Proxy from "effect-handshake/protocols/Proxy"
 * import { NetAddress } from "effect/net"
 *
 * const peer = {
 *   remote: NetAddress.inetAddressFromStringUnsafe("203.0.113.7:56324"),
 *   local: NetAddress.inetAddressFromStringUnsafe("192.0.2.1:443")
 * }
 *
 * console.log(Proxy.format(Proxy.forwarding(peer))) // => PROXY v2 from 203.0.113.7:56324 to 192.0.2.1:443
 * ```
 *
 * @category headers
 * @since 0.1.0
 */
export const forwarding = ({ local, remote, tls }: Peer.Peer, options?: HeaderOptions): Header =>
  between(remote, local, options, tls === undefined ? [] : tlsOf(tls))

/**
 * The header of a connection that is this side's own: it is from here, and goes to the peer.
 *
 * **When to use**
 *
 * Use where a client talks to a server that wants a header, with nobody in between. Give it to {@link client}.
 *
 * @category headers
 * @since 0.1.0
 */
export const direct = ({ local, remote }: Peer.Peer, options?: HeaderOptions): Header =>
  between(local, remote, options, [])

/**
 * The TLV of that kind, if the header has it; the first one of several.
 *
 * **Example** (Who the client is, as its certificate says)
 *
 * ```ts
 * import * as Proxy from "effect-handshake/protocols/Proxy"
 *
 * const userOf = (header: Proxy.Header): string | undefined => {
 *   const ssl = Proxy.find(header, "Ssl")
 *   return ssl === undefined || ssl.certificate === "none" || ssl.verify !== 0
 *     ? undefined
 *     : ssl.tlvs.find((tlv) => tlv._tag === "CommonName")?.value
 * }
 *
 * console.log(userOf(Proxy.local)) // => undefined
 * ```
 *
 * @category getters
 * @since 0.1.0
 */
export const find = <Tag extends Tlv["_tag"]>(
  header: Header,
  tag: Tag
): Extract<Tlv, { readonly _tag: Tag }> | undefined =>
  header._tag === "Local"
    ? undefined
    : header.tlvs.find((tlv): tlv is Extract<Tlv, { readonly _tag: Tag }> => tlv._tag === tag)

/**
 * Whom a header introduces: nobody, where the connection is the proxy's own, or it does not say whose.
 *
 * @category getters
 * @since 0.1.0
 */
export const introduction = (header: Header): Peer.Introduction =>
  header._tag === "Proxied" ? { remote: header.source, local: header.destination, via } : { via }

/** What metrics call a peer that a header has introduced. */
const via = "proxy"

const formatAddress = (remote: NetAddress.SocketAddress): string => Peer.format({ remote, local: undefined })

/**
 * A header for people, in one line.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = (header: Header): string => {
  if (header._tag === "Local") return "PROXY v2 local"
  const { tlvs, version } = header
  const ends = header._tag === "Unknown"
    ? "unknown"
    : `from ${formatAddress(header.source)} to ${formatAddress(header.destination)}`
  const datagram = header._tag === "Proxied" && header.transport === "datagram" ? " by datagrams" : ""
  return Excerpt.ofText(
    `PROXY v${version} ${ends}${datagram}${tlvs.length === 0 ? "" : `, ${tlvs.map(({ _tag }) => _tag).join(", ")}`}`
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Handshakes
// ---------------------------------------------------------------------------------------------------------------------

const step = "PROXY header"

/** Runs in the place of what is inside, so that errors and metrics do not have that one's name. */
const failed = (reason: TransportError | Reason): Effect.Effect<never, HandshakeError> =>
  Handshake.named(Handshake.step(Effect.fail(reason), step), "proxy")

const trusting = (trust: ServerOptions["trust"]): (peer: Peer.Peer) => boolean => {
  if (typeof trust === "function") return trust
  const networks = trust.map((network) => {
    try {
      return IpNetwork.fromInputUnsafe(network)
    } catch (cause) {
      throw new TypeError(`${String(network)} is no network in CIDR notation`, { cause })
    }
  })
  return ({ remote }) => {
    if (!NetAddress.isInetAddress(remote)) return false
    const own = remote.address
    const canonical = NetAddress.toCanonical(own)
    return networks.some((network) => IpNetwork.contains(network, own) || IpNetwork.contains(network, canonical))
  }
}

const untrusted = (peer: Peer.Peer): Rejected =>
  new Rejected({ by: "local", said: `no PROXY header is taken from ${Peer.format(peer)}`, retryable: false })

const unwanted = (version: Version): Rejected =>
  new Rejected({ by: "local", said: `a PROXY header of version ${version} is not taken`, retryable: false })

/** In the place of an error that the handshake inside has of its own, which nobody is told of whom it turns away. */
const unheard = new Rejected({ by: "local", said: "turned away", retryable: true })

/** What a header ends with: the connection behind it, and what it says. */
type Received = Transport.Transport<Header, Header> & { readonly header: Header }

const receiving = (options: ServerOptions): Effect.Effect<
  Received,
  TransportError | Reason,
  Socket.Socket | Scope.Scope
> => {
  const isTrusted = trusting(options.trust)
  const { versions } = options
  const opened = Transport.framed(codec(options), { describe: format })
  return Effect.gen(function*() {
    const transport = yield* opened
    const peer = yield* transport.peer
    // Before anything is read: to whoever is not trusted it makes no difference what it says.
    if (!isTrusted(peer)) return yield* Effect.fail(untrusted(peer))
    const header = yield* transport.receive
    const version = header._tag === "Local" ? 2 : header.version
    if (versions !== undefined && !versions.includes(version)) return yield* Effect.fail(unwanted(version))
    yield* Handshake.introduce(transport, introduction(header))
    return Transport.extend(transport, { header })
  })
}

/**
 * Receives a header, introduces the peer by it, and ends with it, so that what comes next can be chosen by what it
 * says.
 *
 * **When to use**
 *
 * Use with `Handshake.inside` where the handshake depends on the header. Otherwise there is {@link server}, which also turns away in the
 * words of what is inside.
 *
 * **Example** (Another limit for the host name that the client has asked for)
 *
 * ```ts
 * import { Handshake } from "effect-handshake"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Proxy from "effect-handshake/protocols/Proxy"
 * import { Effect } from "effect"
 *
 * const long = Line.make({ maxLength: 1024 * 1024 }).server
 *
 * const server = Handshake.inside(
 *   ({ header }) => Proxy.find(header, "Authority")?.name === "bulk.example" ? long : Line.server,
 *   Proxy.header({ trust: ["10.0.0.0/8"] })
 * )
 *
 * console.log(Effect.isEffect(server)) // => true
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const header = (
  options: ServerOptions
): Effect.Effect<Received, HandshakeError, Socket.Socket | Scope.Scope> =>
  Handshake.step(Effect.catch(receiving(options), failed), step)

/** How long a peer may take to hear that it is turned away, as from a server. */
const refusalTime = Duration.seconds(2)

/** Whether there is somebody who has said something wrong, or who is not to say anything. */
const isThere = (reason: TransportError | Reason): boolean => {
  const { _tag } = isTransportError(reason) ? reason.reason : reason
  return _tag === "MalformedFrame" || _tag === "FrameTooLarge" || _tag === "Rejected"
}

/**
 * The server's side of a handshake behind a PROXY header.
 *
 * **When to use**
 *
 * Use on a port to which nobody connects but proxies that send headers. Where a proxy takes TLS off, put it around the handshake;
 * where TLS goes through to here, put it around `Tls.server`: the header comes before TLS.
 *
 * **Details**
 *
 * The header is required. Whoever does not connect from a network of `trust` is turned away before anything is read, and so is
 * whoever begins with anything but a header, says something in it that the protocol forbids, or sends one that is too long: in the words
 * that the handshake has for it (`Handshake.withRefusal`, as `forbidden`), inside TLS where that is inside, within two seconds. It fails at
 * the step `PROXY header` of `proxy`: as `Rejected` by this side, `MalformedFrame` or `FrameTooLarge`.
 *
 * Behind the header the peer is who it says (`Handshake.introduce`): that is what the handshake inside, its `Authenticator`, events,
 * spans and logs see, with the proxy's own address in `Peer.socketOf`, and `via` is `proxy`. A header that is `Local` or `Unknown` leaves
 * the addresses as they are. What it says beside the addresses is in `proxy` of the transport.
 *
 * The header may come in pieces, and what follows it in the same segment is what the handshake inside begins with: a second header,
 * too, which is none to that one. It counts in the deadline and in the byte limit of the whole. Where there are two proxies that both
 * send headers, put it around itself: the second `trust` is for whom the first header has introduced.
 *
 * **Gotchas**
 *
 * A load balancer that only connects and ends, to see whether somebody listens, is a handshake that has failed.
 *
 * **Example** (The line protocol behind a load balancer)
 *
 * ```ts
 * import { Peer, Pipeline, Server } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Proxy from "effect-handshake/protocols/Proxy"
 * import { Effect, Layer } from "effect"
 * import { NetAddress } from "effect/net"
 * import { Socket } from "effect/socket"
 *
 * const server = Server.layer({
 *   handshake: Line.server.pipe(Proxy.server({ trust: ["127.0.0.0/8"] })),
 *   serve: (transport) =>
 *     Effect.flatMap(transport.peer, (peer) => Pipeline.serve(() => Effect.succeed(Peer.format(peer)))(transport))
 * }).pipe(Layer.provide(Net.layerServer({ host: "127.0.0.1", port: 0 })))
 *
 * const program = Effect.gen(function*() {
 *   const { address } = yield* Server.Server
 *   const user = NetAddress.inetAddressFromStringUnsafe("203.0.113.7:56324")
 *   const client = Line.client.pipe(Proxy.client(({ remote }) =>
 *     Proxy.forwarding({ remote: user, local: remote })
 *   ))
 *   const transport = yield* Effect.provideServiceEffect(client, Socket.Socket, Net.socket(address))
 *   yield* transport.send("Who am I?")
 *   return yield* transport.receive
 * }).pipe(Effect.provide(server), Effect.scoped)
 *
 * console.log(await Effect.runPromise(program)) // => 203.0.113.7:56324
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const server: {
  (options: ServerOptions): <T extends Transport.Transport.Any, E, R>(
    handshake: Effect.Effect<T, E, R>
  ) => Effect.Effect<
    T & { readonly proxy: Header },
    Handshake.Failure<E | HandshakeError>,
    R | Socket.Socket | Scope.Scope
  >
  <T extends Transport.Transport.Any, E, R>(
    handshake: Effect.Effect<T, E, R>,
    options: ServerOptions
  ): Effect.Effect<
    T & { readonly proxy: Header },
    Handshake.Failure<E | HandshakeError>,
    R | Socket.Socket | Scope.Scope
  >
} = dual(
  2,
  <T extends Transport.Transport.Any, E, R>(handshake: Effect.Effect<T, E, R>, options: ServerOptions) => {
    const words = Effect.ignore(Effect.timeoutOption(Handshake.turnAway(handshake, "forbidden"), refusalTime))
    const refusing = Handshake.step(
      Effect.catch(
        receiving(options),
        (reason) => isThere(reason) ? Effect.andThen(words, failed(reason)) : failed(reason)
      ),
      step
    )
    return Handshake.inside(
      ({ header }: Received) => Effect.map(handshake, (transport) => withHeader(transport, header)),
      Effect.suspend(() => {
        let hasBegun = false
        const waiting = Effect.suspend(() => {
          hasBegun = true
          return refusing
        })
        return Handshake.withRefusal(waiting, (why, retryAfter) => {
          const turned = Handshake.turnAway(handshake, why, { retryAfter })
          // Who is cut off while its header is awaited is told without one; else it stands before what is inside.
          const told = hasBegun ? turned : Handshake.inside(turned, refusing)
          return Effect.catch(told, (error) => isHandshakeError(error) ? Effect.fail(error) : failed(unheard))
        })
      })
    )
  }
)

/** Of several headers, that of the proxy that is next to the client. */
const withHeader = <T extends Transport.Transport.Any>(
  transport: T,
  header: Header
): T & { readonly proxy: Header } =>
  Predicate.hasProperty(transport, "proxy")
    ? transport as T & { readonly proxy: Header } // this module has put it there, around the same handshake
    : Transport.extend(transport, { proxy: header })

/**
 * The client's side of a handshake behind a PROXY header: the header is said first, in one write.
 *
 * **Details**
 *
 * The header may depend on the peer, and so on the addresses of the connection itself: {@link direct} is such a function. It fails at the
 * step `PROXY header` as `MalformedFrame` by this side where the header cannot be put into bytes, such as one of version 1 with TLVs or one
 * whose addresses are not of one family. A server answers nothing to it: that it does not want one shows in the handshake.
 *
 * **Gotchas**
 *
 * Some servers refuse a header that comes in pieces. It leaves here in one write, and is shorter than a segment unless its TLVs are
 * long: the protocol asks for at most 536 bytes.
 *
 * **Example** (A client that talks to such a server with nobody in between)
 *
 * ```ts
 * import { Client } from "effect-handshake"
 * import * as Net from "effect-handshake/node/Net"
 * import * as Line from "effect-handshake/protocols/Line"
 * import * as Proxy from "effect-handshake/protocols/Proxy"
 *
 * const client = Client.connect({
 *   handshake: Line.client.pipe(Proxy.client(Proxy.direct)),
 *   sockets: [Net.socket({ host: "127.0.0.1", port: 7000 })]
 * })
 * ```
 *
 * @category handshakes
 * @since 0.1.0
 */
export const client: {
  (header: Header | ((peer: Peer.Peer) => Header)): <A, E, R>(
    handshake: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, Handshake.Failure<E | HandshakeError>, R | Socket.Socket | Scope.Scope>
  <A, E, R>(
    handshake: Effect.Effect<A, E, R>,
    header: Header | ((peer: Peer.Peer) => Header)
  ): Effect.Effect<A, Handshake.Failure<E | HandshakeError>, R | Socket.Socket | Scope.Scope>
} = dual(
  2,
  <A, E, R>(handshake: Effect.Effect<A, E, R>, header: Header | ((peer: Peer.Peer) => Header)) =>
    Handshake.inside(
      handshake,
      Effect.gen(function*() {
        const transport = yield* framed
        const said = typeof header === "function" ? header(yield* transport.peer) : header
        return yield* Handshake.send(transport, said, { name: step })
      })
    )
)

// Nothing is received over it: what comes is for what is inside.
const framed = Transport.framed(codec({ maxLength: 65_551 }), { describe: format })
