/**
 * The flags that say who comes in to a server.
 *
 * @internal
 */
import { Flag } from "effect/cli"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as IpNetwork from "effect/net/IpNetwork"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Admission from "../Admission.ts"
import * as Flags from "./flags.ts"

export interface AdmitFlags {
  readonly admitPerAddress: Option.Option<number>
  readonly admitRate: Option.Option<Rate>
  readonly admitFailures: Option.Option<Rate>
  readonly admitPass: ReadonlyArray<IpNetwork.IpNetwork>
}

export interface Rate {
  readonly limit: number
  readonly window: Duration.Duration
}

export const aRate = "a rate such as 10/s or 50/10s"

/** `10/s`, `50/10s`. */
export const parseRate = (text: string): Option.Option<Rate> => {
  const [, limit, window] = /^([1-9]\d{0,8})\/(.+)$/.exec(text) ?? []
  if (limit === undefined || window === undefined) return Option.none()
  const parsed = Flags.parseDuration(/^\d/.test(window) ? window : `1${window}`)
  return Option.flatMap(
    parsed,
    (window) => Flags.isPositive(window) ? Option.some({ limit: Number(limit), window }) : Option.none()
  )
}

export const aNetwork = "a network such as 10.0.0.0/8 or fd00::/8"

export const parseNetwork = (text: string): Option.Option<IpNetwork.IpNetwork> =>
  Result.getSuccess(IpNetwork.fromString(text))

export const flags = {
  admitPerAddress: Flag.Int("admit-per-address").pipe(
    Flag.withMetavar("N"),
    Flag.withDescription("Connections of one address at once, in each worker; further ones are refused (default all)"),
    Flag.filter((n) => n >= 1, (n) => `a number of at least 1, not ${n}`),
    Flag.optional
  ),
  admitRate: Flag.String("admit-rate").pipe(
    Flag.withMetavar("N/duration"),
    Flag.withDescription(
      "New connections of one address in a time, in each worker, such as 10/s or 50/10s (default all)"
    ),
    Flag.filterMap(parseRate, (text) => `${aRate}, not "${text}"`),
    Flag.optional
  ),
  admitFailures: Flag.String("admit-failures").pipe(
    Flag.withMetavar("N/duration"),
    Flag.withDescription(
      "Handshakes of one address that may fail by its misconduct in a time, in each worker, such as 5/1m; then it is refused " +
        "(default all)"
    ),
    Flag.filterMap(parseRate, (text) => `${aRate}, not "${text}"`),
    Flag.optional
  ),
  admitPass: Flag.String("admit-pass").pipe(
    Flag.withMetavar("CIDR"),
    Flag.withDescription("A network that always comes in, such as 10.0.0.1/32, a balancer; may be given again"),
    Flag.filterMap(parseNetwork, (text) => `${aNetwork}, not "${text}"`),
    Flag.atLeast(0)
  )
}

export type Made = Effect.Effect<Admission.Admission["Service"]>

/** What the flags say. */
export const optionsOf = (
  { byAddress }: Pick<typeof Admission, "byAddress">,
  { admitFailures, admitPass, admitPerAddress, admitRate }: AdmitFlags
): Admission.Options => ({
  limits: [byAddress({
    atOnce: Option.getOrUndefined(admitPerAddress),
    connections: Option.getOrUndefined(admitRate),
    failures: Option.getOrUndefined(admitFailures)
  })],
  pass: admitPass.map((network) => IpNetwork.format(network))
})

/** The same, if anything. The module is loaded then. Behind a proxy it judges the address of the header. */
export const admission = (flags: AdmitFlags): Made | undefined =>
  Option.isNone(flags.admitPerAddress) && Option.isNone(flags.admitRate) && Option.isNone(flags.admitFailures)
    ? undefined
    : Effect.flatMap(
      Effect.promise(() => import("../Admission.ts")),
      (Admission) => Admission.make(optionsOf(Admission, flags))
    )
