"""The public names and their types."""

from tonnage.catalog import Catalog as Catalog
from tonnage.errors import InputError as InputError
from tonnage.errors import MissingFact as MissingFact
from tonnage.errors import Outcome as Outcome
from tonnage.errors import TonnageError as TonnageError
from tonnage.fleet import LaunchPlan as LaunchPlan
from tonnage.fleet import Programme as Programme
from tonnage.fleet import launch as launch
from tonnage.fleet import read_programme as read_programme
from tonnage.interval import Interval as Interval
from tonnage.law import classify as classify
from tonnage.layout import Layout as Layout
from tonnage.layout import collectives as collectives
from tonnage.layout import parse_layout as parse_layout
from tonnage.layout import shard as shard
from tonnage.model import Architecture as Architecture
from tonnage.model import Load as Load
from tonnage.model import Step as Step
from tonnage.model import operators as operators
from tonnage.provenance import Provenance as Provenance
from tonnage.report.charts import charts_of as charts_of
from tonnage.report.saved import compare as compare
from tonnage.report.saved import read_result as read_result
from tonnage.serve import FitPlan as FitPlan
from tonnage.serve import ServeJob as ServeJob
from tonnage.serve import ServePlan as ServePlan
from tonnage.serve import Speculation as Speculation
from tonnage.serve import fit as fit
from tonnage.system import Accelerator as Accelerator
from tonnage.system import System as System
from tonnage.system import accelerator as accelerator
from tonnage.system import collective_time as collective_time
from tonnage.system import operator_time as operator_time
from tonnage.train import TrainJob as TrainJob
from tonnage.train import TrainPlan as TrainPlan

__version__: str
_HOMES: dict[str, str]
