import * as Rung from "../../../src/testing/Rung.ts"
import { lawsOf } from "./laws.ts"

lawsOf("scram-sha-256", "3.2", [Rung.pure, Rung.simulated(), Rung.fast(Rung.pure)])
