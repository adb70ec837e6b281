/**
 * The span of a handshake, and what its metrics are told, the same for both roles. What OpenTelemetry's semantic conventions have a
 * name for has that name; what is of handshakes alone begins with `handshake.`, in the same style: dots, the unit not in the name but
 * beside it.
 *
 * | attribute | of spans and metrics | what it is |
 * |---|---|---|
 * | `handshake.role` | both | `server` or `client`, as the kind of the span |
 * | `handshake.protocol` | both | the name of the handshake |
 * | `handshake.outcome` | both | `ready`, the tag of the reason, `interrupted`, or `error` for an error of the user's own |
 * | `error.type` | both | where it has failed: the tag of the reason, or `_OTHER` for an error of the user's own. An interruption is none |
 * | `handshake.via` | metrics | how the peer was introduced, where it was |
 * | `handshake.step` | spans | where it has failed: at which step |
 * | `network.transport` | spans | `tcp` or `unix`, where the address of the socket is known |
 * | `network.type` | spans | `ipv4` or `ipv6` |
 * | `network.peer.address`, `network.peer.port` | spans | the other end of the socket |
 * | `network.local.address`, `network.local.port` | spans | this end of it |
 * | `client.address`, `client.port` | spans of servers | who connects: as introduced, else the other end of the socket |
 * | `server.address`, `server.port` | spans | to whom: by the name that TLS has asked for, else at a server its own end or what was introduced as that, at a client the other one |
 * | `user.name` | spans | the user, once it is introduced |
 * | `tls.*` | spans | what TLS has agreed on |
 *
 * Addresses and users are no attributes of metrics, for there is no end of them.
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as NetAddress from "effect/net/NetAddress"
import * as Tracer from "effect/Tracer"
import * as Excerpt from "../../Excerpt.ts"
import * as Peer from "../../Peer.ts"
import * as Monotonic from "../connection/monotonic.ts"
import * as Metrics from "./metrics.ts"
import * as Progress from "./progress.ts"

/** Both ends of the socket, and who was introduced, in the names of OpenTelemetry. */
const peerAttributes = (peer: Peer.Peer, role: Metrics.Role): Record<string, unknown> => {
  const { local, remote } = Peer.socketOf(peer)
  const [client, server] = role === "server" ? [peer.remote, peer.local] : [undefined, peer.remote]
  return {
    ...transportAttributes(remote ?? local),
    ...addressAttributes(remote, "network.peer"),
    ...addressAttributes(local, "network.local"),
    ...addressAttributes(client, "client"),
    ...addressAttributes(server, "server"),
    ...peer.user !== undefined && { "user.name": Excerpt.ofText(peer.user) }
  }
}

const transportAttributes = (address: NetAddress.SocketAddress | undefined): Record<string, unknown> => {
  switch (address?._tag) {
    case undefined:
      return {}
    case "UnixPathAddress":
      return { "network.transport": "unix" }
    case "InetAddressV4":
      return { "network.transport": "tcp", "network.type": "ipv4" }
    case "InetAddressV6":
      return { "network.transport": "tcp", "network.type": "ipv6" }
  }
}

const addressAttributes = (address: NetAddress.SocketAddress | undefined, of: string): Record<string, unknown> =>
  address === undefined
    ? {}
    : address._tag === "UnixPathAddress"
    ? { [`${of}.address`]: address.path }
    : { [`${of}.address`]: NetAddress.formatIp(address.address), [`${of}.port`]: address.port }

/** What TLS has agreed on, in the names of OpenTelemetry. */
const tlsAttributes = (tls: Peer.Tls, role: Metrics.Role): Record<string, unknown> => ({
  "tls.established": true,
  "tls.protocol.name": "tls",
  "tls.protocol.version": tls.version.replace(/^TLSv/, ""),
  "tls.cipher": tls.cipher,
  "tls.resumed": tls.resumed,
  ...tls.alpn !== undefined && { "tls.next_protocol": tls.alpn },
  // The conventions want the name where there is one. The address is that of the socket.
  ...tls.servername !== undefined && { "server.address": tls.servername },
  ...tls.certificate !== undefined && {
    [role === "client" ? "tls.server.subject" : "tls.client.subject"]: tls.certificate.subject,
    [role === "client" ? "tls.server.hash.sha256" : "tls.client.hash.sha256"]: tls.certificate.fingerprint256
      .replaceAll(":", "")
  }
})

/** Tells the span of the handshake, where there is one, what TLS has agreed on. */
export const annotateTls = (context: Context.Context<never>, tls: Peer.Tls, role: Metrics.Role): void => {
  const span = Context.getOrUndefined(context, Tracer.ParentSpan)
  if (span?._tag === "Span" && span.status._tag !== "Ended") tell(span, tlsAttributes(tls, role))
}

const tell = (span: Tracer.Span, attributes: Record<string, unknown>): void => {
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

/** A handshake that is under way, and the span that it has where it is traced. */
export interface Observed {
  readonly progress: Progress.Progress
  /** Once it is open. */
  connection:
    | { readonly peer: Peer.Peer; readonly via: string | undefined; readonly wasIntroduced: boolean }
    | undefined
  span: Tracer.Span | undefined
}

/** Updates the metrics of one role, in the registry of the context: without an Effect for each. */
export const make = (role: Metrics.Role, context: Context.Context<never>) => {
  const metrics = Metrics.of(role, context)
  const clock = Context.get(context, Clock.Clock)
  // The native one shows its spans to nobody.
  const isTraced = Context.get(context, Tracer.Tracer) !== Tracer.nativeTracer

  /** Tells the span with whom it is. */
  const met = ({ connection, span }: Observed): void => {
    if (connection === undefined || span === undefined) return
    const { peer } = connection
    tell(span, { ...peerAttributes(peer, role), ...peer.tls && tlsAttributes(peer.tls, role) })
  }

  /**
   * Runs a handshake in a span, where somebody sees it. `ended` ends it. The span of one that is not named yet is made when
   * it is, and begins now all the same.
   */
  const spanned = <A, E, R>(state: Observed, handshake: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    if (!isTraced) return handshake
    const { progress } = state
    const startTime = clock.currentTimeNanosUnsafe()
    const begin = Effect.map(
      Effect.updateService(
        Effect.suspend(() => Effect.makeSpan(`${progress.protocol} handshake`, { kind: role })),
        Tracer.Tracer,
        (tracer) => Tracer.make({ span: (options) => tracer.span({ ...options, startTime }) })
      ),
      (span) => {
        state.span = span
        span.attribute("handshake.role", role)
        met(state)
        return span
      }
    )
    const traced: Progress.Traced = (effect) =>
      Effect.suspend(() => {
        progress.traced = undefined
        return Effect.flatMap(begin, (span) => Effect.withParentSpan(effect, span))
      })
    if (progress.protocol !== Progress.unnamed) return traced(handshake)
    progress.traced = traced
    // One that never gets a name has a span as well.
    return Effect.onExit(handshake, () => {
      // The words of one that was cut off have none of their own.
      progress.traced = undefined
      return state.span === undefined ? Effect.asVoid(begin) : Effect.void
    })
  }

  /** Counts a handshake that has ended, and ends its span. */
  const ended = (state: Observed, millis: number, exit: Exit.Exit<unknown, unknown>): void => {
    const { progress, span } = state
    const { protocol } = progress
    const outcome = Metrics.outcomeOf(exit)
    metrics.count(protocol, state.connection?.via, outcome, millis)
    if (span === undefined) return
    // It has met its peer before that was introduced.
    if (state.connection?.wasIntroduced === true) met(state)
    span.attribute("handshake.protocol", protocol)
    span.attribute("handshake.outcome", outcome)
    if (Exit.isFailure(exit)) span.attribute("handshake.step", progress.step)
    const type = Metrics.errorTypeOf(outcome)
    if (type !== undefined) span.attribute("error.type", type)
    span.end(clock.currentTimeNanosUnsafe(), exit)
  }

  return {
    connections: (by: 1 | -1): void => metrics.open.modify(by),
    pending: (by: 1 | -1): void => metrics.underWay.modify(by),
    denied: (limit: string, why: string): void => metrics.denied(limit, why),
    /** Whether anybody sees the spans of handshakes. */
    isTraced,
    spanned,
    met,
    ended,

    /** One handshake with its span, its outcome and its duration; how it ended is the result. */
    observed: <A, E, R>(state: Observed, handshake: Effect.Effect<A, E, R>): Effect.Effect<Exit.Exit<A, E>, never, R> =>
      Effect.suspend(() => {
        const start = Monotonic.millisOf(clock)
        return spanned(state, Effect.provideService(handshake, Progress.CurrentProgress, state.progress)).pipe(
          Effect.onExit((exit) => Effect.sync(() => ended(state, Monotonic.millisOf(clock) - start, exit))),
          Effect.exit
        )
      })
  }
}

export type Telemetry = ReturnType<typeof make>
