import * as Rung from "../../../src/testing/Rung.ts"
import { lawsOf } from "./laws.ts"

lawsOf("password", "3.2", [Rung.pure, Rung.fast(Rung.simulated())])
