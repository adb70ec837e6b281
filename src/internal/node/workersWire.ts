/**
 * What a primary and its workers tell each other, and what a worker is told when it is started.
 *
 * @internal
 */
import type * as Server from "../../Server.ts"

/** The environment variable that carries the {@link Membership} of a worker. */
export const variable = "EFFECT_HANDSHAKE_WORKER"

/** A worker's place among all of them. */
export interface Membership {
  /** From 1 to `count`. A worker that replaces another one has its number. */
  readonly number: number
  readonly count: number
  /** The port that was found where port 0 was asked for, once nobody holds it as port 0 any more. */
  readonly port?: number | undefined
}

/** What `total` is for the worker `number` of `count`: the shares differ by one at the most, and add up to `total`. */
export const share = (total: number, { count, number }: Membership): number =>
  Math.floor(total / count) + (number <= total % count ? 1 : 0)

export const TypeId = "~effect-handshake/Workers"

export type Place =
  | { readonly host: string; readonly port: number }
  | { readonly path: string }

/** From a worker. */
export type Report =
  | { readonly [TypeId]: "Listening"; readonly at: Place }
  | { readonly [TypeId]: "OpenFailed"; readonly code: string | undefined; readonly message: string }
  | { readonly [TypeId]: "Counted"; readonly id: number; readonly counts: Server.Counts }

/** To a worker. */
export interface Request {
  readonly [TypeId]: "Count"
  readonly id: number
}

// A program may send messages of its own over the same channel. What bears our mark is ours, and of the same version.
const isOurs = (message: unknown): boolean => typeof message === "object" && message !== null && TypeId in message

export const isReport = (message: unknown): message is Report => isOurs(message)

export const isRequest = (message: unknown): message is Request => isOurs(message)
