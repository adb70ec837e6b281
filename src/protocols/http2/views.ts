/**
 * Objects whose properties are read from a connection whenever somebody looks.
 *
 * The properties are their own, so that a copy has the values of its moment, and the functions are the same for all connections: for
 * each one that is made for an object V8 makes a pair, of a kind that keeps all that the function knows until a full collection.
 *
 * @internal
 */

const SourceKey = Symbol("effect-handshake/Http2/Source")

/** Makes such objects; `read` tells how each property is read. */
export const make = <Source, View extends object>(
  read: { readonly [Name in keyof View]: (source: Source) => View[Name] }
): (source: Source) => View => {
  const properties = Object.entries<(source: Source) => unknown>(read).map(([name, of]) => {
    const property: PropertyDescriptor & ThisType<{ readonly [SourceKey]: Source }> = {
      enumerable: true,
      get() {
        return of(this[SourceKey])
      }
    }
    return [name, property] as const
  })
  return (source) => {
    const view = Object.defineProperty({}, SourceKey, { value: source })
    // One by one: all in one call take longer.
    for (const [name, property] of properties) Object.defineProperty(view, name, property)
    return view as View // `read` has each of its properties
  }
}
