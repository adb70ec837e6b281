/**
 * The flags of servers behind a proxy that tells whom it speaks for.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import type * as IpNetwork from "effect/net/IpNetwork"
import type * as Scope from "effect/Scope"
import type * as Socket from "effect/socket/Socket"
import type { HandshakeError } from "../HandshakeError.ts"
import type * as Transport from "../Transport.ts"
import * as Admit from "./admit.ts"
import * as Flags from "./flags.ts"

export interface ProxyFlags {
  readonly proxy: "refused" | "required"
  readonly proxyTrust: ReadonlyArray<IpNetwork.IpNetwork>
}

export const flags = {
  proxy: Flag.Literals("proxy", ["refused", "required"]).pipe(
    Flag.withDescription("Whether a PROXY header comes before the protocol; it is never guessed (default refused)"),
    Flag.withDefault("refused")
  ),
  proxyTrust: Flag.String("proxy-trust").pipe(
    Flag.withMetavar("CIDR"),
    Flag.withDescription("A network whose headers are believed, such as 10.0.0.0/8; may be given again"),
    Flag.filterMap(Admit.parseNetwork, (text) => `${Admit.aNetwork}, not "${text}"`),
    Flag.atLeast(0)
  )
}

/** Puts a handshake behind a header, where there is to be one. */
export type Behind = <T extends Transport.Transport.Any, E, R>(
  handshake: Effect.Effect<T, E, R>
) => Effect.Effect<T, E | HandshakeError, R | Socket.Socket | Scope.Scope>

/** What the flags say, or why they do not go together. The protocol is loaded where it is spoken. */
export const behind = ({ proxy, proxyTrust }: ProxyFlags): Effect.Effect<Behind, Flags.Exited> => {
  if (proxy === "refused") {
    return proxyTrust.length > 0
      ? Flags.failing("--proxy-trust is of no use without --proxy required", Flags.usage)
      : Effect.succeed((handshake) => handshake)
  }
  if (proxyTrust.length === 0) {
    return Flags.failing("--proxy required needs --proxy-trust CIDR: whose headers are believed", Flags.usage)
  }
  return Effect.map(
    Effect.promise(() => import("../protocols/Proxy.ts")),
    (Proxy): Behind => (handshake) => Proxy.server(handshake, { trust: proxyTrust })
  )
}
