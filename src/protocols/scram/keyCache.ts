/**
 * What a client keeps, so that it need not derive its keys again (RFC 5802 3: it "MAY cache ClientKey&ServerKey").
 *
 * @internal
 */
import type { Keys } from "./keys.ts"

/** What keys are derived from. */
export interface From {
  /** Prepared. */
  readonly password: string
  readonly salt: Uint8Array
  readonly iterations: number
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

export const TypeId = "~effect-handshake/protocols/Scram/KeyCache"

/** Nothing of what is kept is a property, so that nothing shows it. */
class KeyCacheImpl {
  readonly [TypeId]: typeof TypeId = TypeId
  #from: From | undefined = undefined
  #keys: Keys | undefined = undefined

  find({ iterations, password, salt }: From): Keys | undefined {
    const from = this.#from
    return from?.iterations === iterations && from.password === password && isSame(from.salt, salt)
      ? this.#keys
      : undefined
  }

  keep(from: From, keys: Keys): void {
    this.#from = from
    this.#keys = keys
  }
}

export interface KeyCache {
  readonly [TypeId]: typeof TypeId
}

export const make = (): KeyCache => new KeyCacheImpl()

/** The keys of the exchange before, if these are the same. */
export const find = (cache: KeyCache | undefined, from: From): Keys | undefined =>
  cache instanceof KeyCacheImpl ? cache.find(from) : undefined

/** In the place of those that were there: a server has one salt for a user. */
export const keep = (cache: KeyCache | undefined, from: From, keys: Keys): void => {
  if (cache instanceof KeyCacheImpl) cache.keep(from, keys)
}
